"""What an item's number tells without a model: the test item among the numbers after the last one.

python -m benchmarks.item_ids --dataset=amazon-toys

Ranks the ten items whose numbers follow that of a history's last item, in this order, and no other.
"""

import argparse

import numpy as np

from recbole_intent.config import Config
from recbole_intent.data.item_ids import random_ids, sequential_ids
from recbole_intent.data.split import load_data

GUESSES = 10


def steps(ids: list[str], last: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) how far the number of each target (N,) lies behind that of its last item (N,)."""
    number = np.array([int(name or 0) for name in ids])
    return number[target] - number[last]


def main() -> None:
    """Print Recall and NDCG of the guess, by the way of numbering."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="amazon-toys")
    config = Config("SASRec", parser.parse_args().dataset)
    data = load_data(config)
    dataset = data.train._dataset
    user, items = dataset.clean_users.numpy(), dataset.clean_items.numpy()
    ends = np.flatnonzero(np.append(user[1:] != user[:-1], True))
    ends = ends[ends > 0]
    ends = ends[user[ends - 1] == user[ends]]  # a user has two at least
    print(f"{config['dataset']}: {len(ends)} users\n")
    print("| numbering | recall@5 | ndcg@5 | recall@10 | ndcg@10 |")
    print("|---|--:|--:|--:|--:|")
    for name, ids in (
        ("sequential_p5", sequential_ids(items, dataset.item_num)),
        ("random", random_ids(dataset.item_num, config["seed"])),
    ):
        rank = steps(ids, items[ends - 1], items[ends])
        cells = []
        for k in (5, GUESSES):
            hit = (rank >= 1) & (rank <= k)
            cells += [hit.mean(), (hit / np.log2(np.maximum(rank, 1) + 1)).mean()]
        print(f"| {name} | {' | '.join(f'{cell:.4f}' for cell in cells)} |")


if __name__ == "__main__":
    main()
