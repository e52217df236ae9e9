"""Measures how much of the test item an item numbering alone reveals, without a model.

python -m benchmarks.item_ids --dataset=amazon-toys [--runs saved/A saved/B]

Ranks only the ten items whose numbers follow that of a history's last item, in this order. For runs
it reports results on the users whose test item P5's numbers reveal in this way, and on the others.
"""

import argparse
from pathlib import Path

import numpy as np

from recbole_intent.config.config import Config
from recbole_intent.data.loading.split import load_data
from recbole_intent.models.generative.item_ids import random_ids, sequential_ids

GUESSES = 10


def steps(ids: list[str], last: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) distance from the number of the last item (N,) to that of each target (N,)."""
    number = np.array([int(name or 0) for name in ids])
    return number[target] - number[last]


def told_and_not(folder: Path, told: np.ndarray) -> tuple[float, float, float]:
    """Return test NDCG@10 on users whose item P5's numbers reveal, on the others, and the share.

    Args:
        folder: folder of a finished run.
        told: the users whose item P5's numbers reveal.
    """
    with np.load(folder / "ranks.npz") as file:
        rank, is_told = file["rank"], np.isin(file["user"], told)
    gain = np.where(rank <= GUESSES, 1 / np.log2(rank + 1), 0)
    share = gain[is_told].sum() / max(gain.sum(), 1e-9)
    return gain[is_told].mean(), gain[~is_told].mean(), share


def main() -> None:
    """Print Recall and NDCG of the guess per numbering, and its share in the results of runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="amazon-toys")
    parser.add_argument("--runs", nargs="*", type=Path, default=[], metavar="FOLDER")
    args = parser.parse_args()
    config = Config("SASRec", args.dataset)
    data = load_data(config)
    dataset = data.train._dataset
    user, items = dataset.clean_users.numpy(), dataset.clean_items.numpy()
    ends = np.flatnonzero(np.append(user[1:] != user[:-1], True))
    ends = ends[ends > 0]
    ends = ends[user[ends - 1] == user[ends]]  # a user has at least two
    print(f"{config['dataset']}: {len(ends)} users\n")
    print("| numbering | recall@5 | ndcg@5 | recall@10 | ndcg@10 |")
    print("|---|--:|--:|--:|--:|")
    p5 = sequential_ids(items, dataset.item_num)
    for name, ids in (
        ("sequential_p5", p5),
        ("random", random_ids(dataset.item_num, config["seed"])),
    ):
        rank = steps(ids, items[ends - 1], items[ends])
        cells = []
        for k in (5, GUESSES):
            hit = (rank >= 1) & (rank <= k)
            cells += [hit.mean(), (hit / np.log2(np.maximum(rank, 1) + 1)).mean()]
        print(f"| {name} | {' | '.join(f'{cell:.4f}' for cell in cells)} |")
    if not args.runs:
        return
    rank = steps(p5, items[ends - 1], items[ends])
    told = user[ends][(rank >= 1) & (rank <= GUESSES)]
    print(f"\nP5's numbers tell the test item of {len(told)} users; ndcg@10 of runs:\n")
    print("| run | of these users | of the others | share of these in the whole |")
    print("|---|--:|--:|--:|")
    for folder in args.runs:
        here, elsewhere, share = told_and_not(folder, told)
        print(f"| {folder.name} | {here:.4f} | {elsewhere:.4f} | {share:.1%} |")


if __name__ == "__main__":
    main()
