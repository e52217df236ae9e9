"""Speed of LightGCN compared with RecBole's equivalent: start, epoch, ranking of all items.

python -m benchmarks.lightgcn [--threads=2] [--epochs=3]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from recbole_intent.config.config import Config
from recbole_intent.runs.experiment import build

# As sparse as a 5-core of Amazon reviews: users, items, interactions per user.
USERS, ITEMS, OF_A_USER = 19_000, 12_000, 8


def write_sparse(folder: Path) -> None:
    """Write the dataset `sparse`: users choose random items, popular ones more often."""
    rng = np.random.default_rng(0)
    items = (ITEMS * rng.random((USERS, OF_A_USER)) ** 2).astype(int)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user, chosen in enumerate(items.tolist()):
        lines += [f"u{user}\ti{item}\t{time}" for time, item in enumerate(chosen)]
    (folder / "sparse").mkdir()
    (folder / "sparse/sparse.inter").write_text("\n".join(lines) + "\n")


def measure(dataset: str, data_path: str, ours: bool, epochs: int) -> tuple[float, float, float]:
    """Return the seconds to build the model, train an epoch, and rank all items once."""
    options = {"data_path": data_path, "device": "cpu", "epochs": epochs + 1, "stopping_step": 99}
    options |= {"fast_sequences": ours, "show_progress": False, "tensorboard": False}
    config = Config("LightGCN", dataset, config_dict=options)
    trainer, data = build(config)
    started = time.perf_counter()
    config.spec.model_class(fast=ours)(config, data.train._dataset)
    making = time.perf_counter() - started
    trainer.fit(data.train, data.valid)
    records = trainer.history[1:]  # the first one warms up
    training = statistics.median(record["train_seconds"] for record in records)
    ranking = statistics.median(record["seconds"] - record["train_seconds"] for record in records)
    return making, training, ranking


def main() -> None:
    """Print the seconds of both and the speed-up of ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{arguments.threads} threads, torch {torch.__version__}, d = 64, L = 2\n")
    print("| data | what | ours: s | RecBole's: s | RecBole's / ours |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        write_sparse(Path(folder))
        for dataset, data_path in (("ml-100k", "not-there"), ("sparse", folder)):
            mine, theirs = (
                measure(dataset, data_path, ours, arguments.epochs) for ours in (True, False)
            )
            for what, a, b in zip(("start", "epoch", "ranking"), mine, theirs, strict=True):
                print(f"| {dataset} | {what} | {a:.2f} | {b:.2f} | {b / a:.1f} |", flush=True)


if __name__ == "__main__":
    main()
