"""The metrics by name: functions from ranks to one value per user, and how to add one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recbole_intent.utils.errors import UserError


@dataclass(frozen=True)
class Lists:
    """What a metric sees: the ranks of all users' targets, grouped by user, best first.

    Attributes:
        first: (U,) index of each user's first target.
        n_targets: (U,) number of targets of each user.
        rank: (N,) the ranks.
        hit: (N,) 1.0 where rank <= k, else 0.0.
        nth: (N,) 1, 2, ... among the targets of the user.
        k: length of the recommended list.
    """

    first: np.ndarray
    n_targets: np.ndarray
    rank: np.ndarray
    hit: np.ndarray
    nth: np.ndarray
    k: int

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum (N,) values per target to (U,) values per user."""
        return np.add.reduceat(values, self.first)


def _recall(lists: Lists) -> np.ndarray:
    return lists.total(lists.hit) / lists.n_targets


def _hit(lists: Lists) -> np.ndarray:
    return lists.hit[lists.first]


def _precision(lists: Lists) -> np.ndarray:
    return lists.total(lists.hit) / lists.k


def _mrr(lists: Lists) -> np.ndarray:
    return (lists.hit / lists.rank)[lists.first]


def _ndcg(lists: Lists) -> np.ndarray:
    best = np.cumsum(1 / np.log2(np.arange(2, lists.k + 2)))  # (k,) gain of 1, 2, ... k hits
    gain = lists.total(lists.hit / np.log2(lists.rank + 1))
    return gain / best[np.minimum(lists.n_targets, lists.k) - 1]


def _map(lists: Lists) -> np.ndarray:
    precision_there = lists.hit * lists.nth / lists.rank
    return lists.total(precision_there) / np.minimum(lists.n_targets, lists.k)


METRICS: dict[str, Callable[[Lists], np.ndarray]] = {
    "recall": _recall,
    "hit": _hit,
    "precision": _precision,
    "mrr": _mrr,
    "ndcg": _ndcg,
    "map": _map,
}


def register_metric(name: str, of_lists: Callable[[Lists], np.ndarray]) -> None:
    """Add a metric, or replace one, so that `metrics` and `valid_metric` may name it.

    Processes that `compare` and `tune` start know only the metrics of modules that they import,
    such as that of a model given as `package.module:Class`.

    Args:
        name: as in `metrics`; case does not matter.
        of_lists: returns one value per user, (U,), in 0 .. 1, more for better lists.

    Raises:
        UserError: a name with other characters than letters, digits and `_`.
    """
    if not name.isidentifier():
        raise UserError(f"metric {name!r}: only letters, digits and _ can be part of its name")
    METRICS[name.lower()] = of_lists
