"""Item ids for prompts: the number, or the path of digits, that follows `item_`."""

from typing import Any

import numpy as np

from recbole_intent.utils.errors import UserError

_BRANCHES = 10  # children of a cluster, one digit each


def random_ids(n_items: int, seed: int) -> list[str]:
    """A seeded permutation of 1 .. V - 1, so that an item's id reveals nothing about it.

    Args:
        n_items: V, padding included, whose id is "".
        seed: seed of the permutation.
    """
    numbers = np.random.default_rng(seed).permutation(n_items - 1) + 1
    return ["", *map(str, numbers.tolist())]


def sequential_ids(histories: np.ndarray, n_items: int) -> list[str]:
    """Items numbered by their first appearance along the users' whole histories, from 1.

    This is P5's numbering. It leaks: if nobody had a user's test item before, its number is that
    of the preceding item plus one. It allows comparison with published results.

    Args:
        histories: (M,) items of all interactions, grouped by user, oldest first.
        n_items: V, padding included; items without an interaction come last.
    """
    items, first = np.unique(histories, return_index=True)
    items = items[np.argsort(first)]
    rest = np.setdiff1d(np.arange(1, n_items), items)
    ids = [""] * n_items
    for number, item in enumerate([*items[items > 0].tolist(), *rest.tolist()], start=1):
        ids[item] = str(number)
    return ids


def tree_ids(vectors: np.ndarray, seed: int) -> list[str]:
    """Paths of digits in a hierarchical clustering: items with similar texts share leading digits.

    Clusters of more than ten items are split by k-means into at most ten; in smaller ones each
    item gets a final digit. So no id is a prefix of another.

    Args:
        vectors: (V, D) of the items' texts; row 0 is padding.
        seed: seed of k-means.

    Raises:
        UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise UserError(
            "item_ids: tree needs scikit-learn (extra text): pip install scikit-learn"
        ) from error

    ids = [""] * len(vectors)
    waiting = [("", np.arange(1, len(vectors)))]
    while waiting:
        path, items = waiting.pop()
        if len(items) <= _BRANCHES:
            for digit, item in enumerate(items.tolist()):
                ids[item] = f"{path}{digit}"
            continue
        few = min(_BRANCHES, len(np.unique(vectors[items], axis=0)))
        if few > 1:
            means = KMeans(few, n_init=1, random_state=seed)
            cluster = means.fit_predict(vectors[items].astype(np.float64))
        if few == 1 or len(np.unique(cluster)) == 1:  # the items cannot be distinguished
            cluster = np.arange(len(items)) * _BRANCHES // len(items)
        for digit in np.unique(cluster).tolist():
            waiting.append((f"{path}{digit}", items[cluster == digit]))
    return ids


def item_ids(config: Any, dataset: Any, vectors: np.ndarray | None) -> list[str]:
    """The ids selected by the option `item_ids`, "" for padding.

    Args:
        config: configuration of the run; `protocol: published` makes `auto` P5's numbering.
        dataset: the training split.
        vectors: (V, D) of the items' texts, or None if there are none.

    Raises:
        UserError: a choice that is not possible in this run.
    """
    kind = config["item_ids"]
    if kind == "auto":
        kind = "sequential_p5" if config["protocol"] == "published" else "random"
    if kind == "random":
        return random_ids(dataset.item_num, config["seed"])
    if kind == "sequential_p5":
        if not config["fast_sequences"]:
            raise UserError("item_ids: sequential_p5 needs fast_sequences: True")
        return sequential_ids(dataset.clean_items.numpy(), dataset.item_num)
    if vectors is None:
        raise UserError("item_ids: tree needs texts of items: semantics: llm or metadata")
    return tree_ids(vectors, config["seed"])
