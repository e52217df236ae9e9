"""Speed of `recommend` on 100,000 new histories compared with RecBole, and of the index.

Histories are seeded, with the lengths and the number of items of amazon-toys; the model is a SASRec
of RecBole's default size with seeded weights, which cost as much as trained ones. RecBole (its own
model on rows padded to 50, then `torch.topk`) is measured on some of the histories and scaled. The
index is measured on items of 2,000 kinds: its recall depends on the vectors, and `recommend` prints
the recall for those of a run.

python -m benchmarks.recommend [--histories=100000] [--items=11924] [--threads=2]
python -m benchmarks.recommend --index --items=1000000 --histories=2000
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from recbole_intent.config.config import Config
from recbole_intent.config.registry import get_spec
from recbole_intent.data.formats.histories import read_histories
from recbole_intent.recommend import recommender as recommender_module
from recbole_intent.recommend.recommendations import write_recommendations
from recbole_intent.recommend.recommender import Recommender
from recbole_intent.runs.experiment import build

ITEMS, HISTORIES, USERS, K = 11_924, 100_000, 20_000, 10
SECONDS_LIMIT = 60
# Quantiles of the number of interactions of amazon-toys' users.
SHARE = (0, 0.25, 0.5, 0.6, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)
LENGTH = (5, 5, 6, 7, 9, 10, 14, 20, 31, 40, 55, 89, 550)
COMPARED = 4096  # histories that RecBole is measured on
KINDS = 2_000


def histories(count: int, n_items: int, seed: int) -> list[np.ndarray]:
    """Return the item numbers of `count` histories; a few items are in many of them."""
    rng = np.random.default_rng(seed)
    lengths = np.interp(rng.random(count), SHARE, LENGTH).round().astype(int)
    items = (n_items * rng.random(lengths.sum()) ** 2.5).astype(int)
    return np.split(items, lengths.cumsum()[:-1])


def write_dataset(folder: Path, n_items: int) -> None:
    """Write a dataset in which every item occurs."""
    rows = histories(USERS, n_items, seed=1)
    for user, items in enumerate(np.array_split(np.arange(n_items), USERS)):
        rows[user] = np.concatenate([rows[user], items])
    folder.mkdir(parents=True)
    with (folder / "made.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, items in enumerate(rows):
            file.writelines(f"u{user}\ti{item}\t{time}\n" for time, item in enumerate(items))


class Phases:
    """Seconds spent in functions."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def timed(self, name: str, function: Callable) -> Callable:
        """Wrap a function so that its time adds up under a name."""

        def wrapper(*args, **kwargs):
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - begin

        return wrapper


def measure(path: Path, output: Path, recommender: Recommender) -> tuple[dict[str, float], int]:
    """Return seconds per phase of the whole command except its start, and the number of rows."""
    phases = Phases()
    chunks = recommender.chunks(read_histories(path))
    next_chunk = phases.timed("read and look up", lambda: next(chunks, None))
    recommender._interaction = phases.timed("rows", recommender._interaction)
    recommender.trainer.scores = phases.timed("model and scores", recommender.trainer.scores)
    recommender_module.top_k = phases.timed("top k", recommender_module.top_k)
    recommender._frame = phases.timed("table", recommender._frame)
    table = phases.timed("recommend", recommender.table)

    def frames():
        while (chunk := next_chunk()) is not None:
            yield table(chunk, K)

    begin = time.perf_counter()
    rows = write_recommendations(output, frames())
    found = phases.seconds
    found["all"] = time.perf_counter() - begin
    found["write"] = found["all"] - found["recommend"] - found["read and look up"]
    return dict(found), rows


@torch.no_grad()
def recboles_way(config: Config, dataset, rows: list[np.ndarray]) -> float:
    """Return seconds for these histories with RecBole's model, padded rows and `torch.topk`."""
    model = get_spec("SASRec").model_class(fast=False)(config, dataset).eval()
    width, size = config["MAX_ITEM_LIST_LENGTH"], 256
    begin = time.perf_counter()
    for first in range(0, len(rows), size):
        batch = rows[first : first + size]
        item_seq = torch.zeros(len(batch), width, dtype=torch.long)
        length = torch.tensor([min(len(items), width) for items in batch])
        for row, items in enumerate(batch):
            item_seq[row, : length[row]] = torch.from_numpy(items[-width:] + 1)
        rows_of_model = {model.ITEM_SEQ: item_seq, model.ITEM_SEQ_LEN: length}
        scores = model.full_sort_predict(rows_of_model)
        scores[:, 0] = -np.inf
        for row, items in enumerate(batch):
            scores[row, items + 1] = -np.inf
        torch.topk(scores, K)
    return time.perf_counter() - begin


def main(arguments: list[str] | None = None) -> int:
    """Print the phases; return 1 if the limit is exceeded, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=HISTORIES)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--index", action="store_true", help="the index beside the exact search")
    given = parser.parse_args(arguments)
    rows = histories(given.histories, given.items, seed=2)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_dataset(folder / "made", given.items)
        options = {"data_path": str(folder), "device": "cpu", "threads": given.threads}
        config = Config("SASRec", "made", config_dict=options)
        begin = time.perf_counter()
        recommender = Recommender(*build(config))
        print(f"{given.histories:,} histories, {given.items:,} items, {given.threads} threads")
        print(f"{'dataset and model':20} {time.perf_counter() - begin:7.1f} s")
        if given.index:
            return _index(recommender, rows)
        path = folder / "histories.jsonl"
        with path.open("w") as file:
            file.writelines(json.dumps([f"i{item}" for item in row]) + "\n" for row in rows)
        found, n_rows = measure(path, folder / "recs.parquet", recommender)
        for name, seconds in found.items():
            print(f"{name:20} {seconds:7.1f} s")
        is_good = found["all"] < SECONDS_LIMIT
        print(f"{n_rows:,} rows, {'good' if is_good else 'NOT'} within {SECONDS_LIMIT} s")
        ours = found["all"] / given.histories
        theirs = recboles_way(config, recommender.dataset, rows[:COMPARED]) / len(rows[:COMPARED])
        print(f"RecBole's way: {theirs * given.histories:.1f} s, {theirs / ours:.1f} times ours")
        return 0 if is_good else 1


def _index(recommender: Recommender, rows: list[np.ndarray]) -> int:
    generator = torch.Generator().manual_seed(3)
    weight = recommender.model.item_embedding.weight.data
    kinds = torch.randn(KINDS, weight.size(1), generator=generator)
    weight[1:] = 0.02 * kinds[torch.randint(KINDS, (len(weight) - 1,), generator=generator)]
    weight[1:] += 0.01 * torch.randn(weight[1:].shape, generator=generator)
    asked = [[f"i{item}" for item in row] for row in rows]
    begin = time.perf_counter()
    exact = recommender.recommend(asked, K)
    middle = time.perf_counter()
    recommender.use_index()
    built = time.perf_counter()
    recommender._is_compared = True  # the comparison is made below
    found = recommender.recommend(asked, K)
    end = time.perf_counter()
    print(f"{'exact':20} {1000 * (middle - begin) / len(rows):7.2f} ms a history")
    print(f"{'index':20} {1000 * (end - built) / len(rows):7.2f} ms a history")
    print(f"{'building it':20} {built - middle:7.1f} s")
    both = exact.merge(found, on=["history", "item_id"])
    print(f"recall@{K} {len(both) / len(exact):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
