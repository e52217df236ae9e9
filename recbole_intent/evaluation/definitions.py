"""The metrics by name: functions from ranks and lists to values, and how to add one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from recbole_intent.utils.errors import UserError


def _absent() -> np.ndarray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Lists:
    """What a metric sees: the ranks of all users' targets, grouped by user, best first.

    A user of these arrays is one list: for a sequential model with several targets of a user, each
    target has its own. The last four are empty unless the metric asks for them (`needs_lists`).

    Attributes:
        first: (U,) index of each user's first target.
        n_targets: (U,) number of targets of each user.
        rank: (N,) the ranks.
        hit: (N,) 1.0 where rank <= k, else 0.0.
        nth: (N,) 1, 2, ... among the targets of the user.
        k: length of the recommended list.
        items: (U, k) int64, the best k items, best first; ends with zeros if fewer can be listed.
        n_ranked: (U,) number of items that were ranked, targets included.
        popularity: (V,) interactions of each item in training; item 0 is padding.
        tail_ratio: the key of this name.
    """

    first: np.ndarray
    n_targets: np.ndarray
    rank: np.ndarray
    hit: np.ndarray
    nth: np.ndarray
    k: int
    items: np.ndarray = field(default_factory=_absent)
    n_ranked: np.ndarray = field(default_factory=_absent)
    popularity: np.ndarray = field(default_factory=_absent)
    tail_ratio: float = 0.1

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum (N,) values per target to (U,) values per user."""
        return np.add.reduceat(values, self.first)

    def mean_of_items(self, values: np.ndarray) -> np.ndarray:
        """Average (V,) values of items to (U,) values of lists; 0 for an empty list."""
        length = np.maximum((self.items > 0).sum(axis=1), 1)
        return np.where(self.items > 0, values[self.items], 0).sum(axis=1) / length

    def times_listed(self) -> np.ndarray:
        """How many lists each item is in, (V,)."""
        return np.bincount(self.items[self.items > 0], minlength=len(self.popularity))


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        of_lists: returns one value per user, (U,); or, without `per_user`, one for all lists.
        bigger: whether a larger value is better.
        per_user: it has a value per user, so that models can be tested on the same users.
        needs_lists: it looks at the items of the lists, or at the number of ranked items.
        at_k: it depends on k, as its name in results says: `recall@10`, but `gauc`.
        by_target: its mean counts a user once per target, instead of once.
    """

    of_lists: Callable[[Lists], np.ndarray | float]
    bigger: bool = True
    per_user: bool = True
    needs_lists: bool = False
    at_k: bool = True
    by_target: bool = False


def _recall(lists: Lists) -> np.ndarray:
    return lists.total(lists.hit) / lists.n_targets


def _hit(lists: Lists) -> np.ndarray:
    return lists.hit[lists.first]


def _precision(lists: Lists) -> np.ndarray:
    return np.minimum(lists.total(lists.hit) / lists.k, 1)


def _mrr(lists: Lists) -> np.ndarray:
    return (lists.hit / lists.rank)[lists.first]


def _ndcg(lists: Lists) -> np.ndarray:
    best = np.cumsum(1 / np.log2(np.arange(2, lists.k + 2)))  # (k,) gain of 1, 2, ... k hits
    gain = lists.total(lists.hit / np.log2(lists.rank + 1))
    return np.minimum(gain / best[np.minimum(lists.n_targets, lists.k) - 1], 1)


def _map(lists: Lists) -> np.ndarray:
    precision_there = lists.hit * lists.nth / lists.rank
    return np.minimum(lists.total(precision_there) / np.minimum(lists.n_targets, lists.k), 1)


def _gauc(lists: Lists) -> np.ndarray:
    n, positives = lists.n_ranked, lists.n_targets
    better = positives * (n + 1) - positives * (positives + 1) / 2 - lists.total(lists.rank)
    pairs = positives * (n - positives)
    # Without a negative there is nothing to order: the value of chance.
    return np.divide(better, pairs, out=np.full(len(n), 0.5), where=pairs > 0)


def _item_coverage(lists: Lists) -> float:
    return np.count_nonzero(lists.times_listed()) / len(lists.popularity)  # RecBole counts padding


def _average_popularity(lists: Lists) -> np.ndarray:
    return lists.mean_of_items(lists.popularity)


def _tail_percentage(lists: Lists) -> np.ndarray:
    trained = np.flatnonzero(lists.popularity)
    count = lists.popularity[trained]
    is_tail = np.zeros(len(lists.popularity), dtype=bool)
    if lists.tail_ratio > 1:
        is_tail[trained[count <= lists.tail_ratio]] = True
    else:
        rarest = trained[np.argsort(count, kind="stable")]
        is_tail[rarest[: max(int(len(rarest) * lists.tail_ratio), 1)]] = True
    return lists.mean_of_items(is_tail)


def _shannon_entropy(lists: Lists) -> float:
    count = lists.times_listed()
    share = count[count > 0] / count.sum()
    return -(share * np.log(share)).sum() / len(share)


def _gini_index(lists: Lists) -> float:
    count = np.sort(lists.times_listed())  # padding, never listed, counts as an item, as in RecBole
    n = len(count)
    return ((2 * np.arange(1, n + 1) - n - 1) * count).sum() / (n * count.sum())


METRICS: dict[str, Metric] = {
    "recall": Metric(_recall),
    "hit": Metric(_hit),
    "precision": Metric(_precision),
    "mrr": Metric(_mrr),
    "ndcg": Metric(_ndcg),
    "map": Metric(_map),
    "gauc": Metric(_gauc, needs_lists=True, at_k=False, by_target=True),
    "itemcoverage": Metric(_item_coverage, per_user=False, needs_lists=True),
    "averagepopularity": Metric(_average_popularity, bigger=False, needs_lists=True),
    "giniindex": Metric(_gini_index, bigger=False, per_user=False, needs_lists=True),
    "shannonentropy": Metric(_shannon_entropy, per_user=False, needs_lists=True),
    "tailpercentage": Metric(_tail_percentage, needs_lists=True),
}


def register_metric(
    name: str,
    of_lists: Callable[[Lists], np.ndarray | float],
    *,
    bigger: bool = True,
    per_user: bool = True,
    needs_lists: bool = False,
) -> None:
    """Add a metric, or replace one, so that `metrics` and `valid_metric` may name it.

    Processes that `compare` and `tune` start know only the metrics of modules that they import,
    such as that of a model given as `package.module:Class`.

    Args:
        name: as in `metrics`; case does not matter.
        of_lists: returns one value per user, (U,); or, without `per_user`, one number.
        bigger: whether a larger value is better.
        per_user: it has a value per user. Otherwise it is not tested for significance.
        needs_lists: fill in the lists' items, the numbers of ranked items and the popularity.

    Raises:
        UserError: a name with other characters than letters, digits and `_`.
    """
    if not name.isidentifier():
        raise UserError(f"metric {name!r}: only letters, digits and _ can be part of its name")
    METRICS[name.lower()] = Metric(of_lists, bigger, per_user, needs_lists)


def metric_of(name: str) -> Metric:
    """Return the metric of a result's name, such as `recall@10`.

    Raises:
        UserError: no such metric.
    """
    given = name.partition("@")[0]
    if given.lower() not in METRICS:
        raise UserError(f"metrics: {given!r} is unknown; known are {', '.join(METRICS)}")
    return METRICS[given.lower()]


def sign_of(name: str) -> int:
    """1 if a larger value of a result such as `recall@10` is better, else -1."""
    metric = METRICS.get(name.partition("@")[0].lower())
    return -1 if metric and not metric.bigger else 1


def result_names(metrics: Sequence[str], topk: Sequence[int]) -> list[str]:
    """The names of results, such as `recall@10` and `gauc`, in the requested order."""
    names = [
        f"{metric.lower()}@{k}" if metric_of(metric).at_k else metric.lower()
        for metric in metrics
        for k in topk
    ]
    return list(dict.fromkeys(names))
