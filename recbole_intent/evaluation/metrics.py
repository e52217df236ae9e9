"""Metrics of ranks and lists, averaged over users, with RecBole's names and values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recbole_intent.evaluation.definitions import Lists, metric_of, result_names
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.utils.errors import UserError


def _lists(ranks: Ranks, k: int) -> tuple[np.ndarray, Lists]:
    """The users (U,), ascending, and what a metric sees of them."""
    order = np.lexsort((ranks.rank, ranks.user))
    rank = ranks.rank[order]
    users, first, n_targets = np.unique(ranks.user, return_index=True, return_counts=True)
    nth = np.arange(len(rank)) - np.repeat(first, n_targets) + 1
    seen: dict[str, Any] = {}
    if (top := ranks.top) is not None:
        seen = {
            "items": top.items[first, :k].astype(np.int64),  # all rows of a user have the same list
            "n_ranked": top.n_ranked[first],
            "popularity": top.popularity,
            "tail_ratio": top.tail_ratio,
        }
    hit = (rank <= k).astype(np.float64)
    return users, Lists(first, n_targets, rank, hit, nth, k, **seen)


def _values(ranks: Ranks, name: str) -> tuple[np.ndarray, Lists, np.ndarray | float]:
    metric, at = metric_of(name), name.partition("@")[2]
    k = int(at) if at else 1
    if k < 1:
        raise UserError(f"topk: {k} must be at least 1")
    if len(ranks) == 0:
        raise UserError("nothing to evaluate: the split holds no targets")
    if metric.needs_lists and ranks.top is None:
        raise UserError(f"{name}: needs the lists, which these ranks lack; evaluate the run again")
    users, lists = _lists(ranks, k)
    return users, lists, metric.of_lists(lists)


def per_user(ranks: Ranks, metric: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute one metric of the top `k` for each user.

    The definitions are RecBole's, with R the user's targets: recall = hits / |R|; hit = any;
    precision = hits / k; mrr = 1 / best rank; ndcg = sum of 1 / log2(rank + 1) over its ideal for
    min(|R|, k) hits; map = sum of precision at each hit over min(|R|, k). A target is a hit if its
    rank, with ties counted half, is <= k. If several targets of one user tie across k, more than k
    of them can be hits: values are clipped to 1. averagepopularity and tailpercentage are means
    over the items of the list; gauc is the share of pairs of a target and another item that are in
    the right order.

    Args:
        ranks: at least one target.
        metric: a name of `METRICS` with values per user, in any case.
        k: >= 1.

    Returns:
        (U,) users in ascending order and (U,) float64 values.

    Raises:
        UserError: unknown metric, `k` below 1, or no targets.

    Source: `recbole.evaluator.metrics` (RecBole 1.2.1).
    """
    users, _, values = _values(ranks, f"{metric}@{k}")
    return users, np.asarray(values, dtype=np.float64)


def evaluate(ranks: Ranks, metrics: Sequence[str], topk: Sequence[int]) -> dict[str, float]:
    """Average metrics over users; metrics of all lists together are computed once.

    Args:
        ranks: at least one target.
        metrics: names of `METRICS`, in any case.
        topk: list lengths, each >= 1.

    Returns:
        Plain floats under RecBole's names, such as `recall@10`, in the requested order.

    Raises:
        UserError: as `per_user`.
    """
    results = {}
    for name in result_names(metrics, topk):
        _, lists, values = _values(ranks, name)
        weights = lists.n_targets if metric_of(name).by_target else None
        results[name] = float(np.average(values, weights=weights))
    return results


def user_values(ranks: Ranks, metrics: Sequence[str], by_target: bool) -> np.ndarray:
    """Compute the metrics of each user.

    Args:
        ranks: ranks of the test targets.
        metrics: such as `recall@10`, with values per user.
        by_target: evaluate one list per target and average by user, as for sequential models;
            else one list per user.

    Returns:
        (U, M) float64, users in ascending order.
    """
    columns = []
    for metric in metrics:
        if not by_target:
            columns.append(_values(ranks, metric)[2])
            continue
        values = _values(ranks.by_row(), metric)[2]  # (N,), in the order of `ranks`
        _, first, count = np.unique(ranks.user, return_index=True, return_counts=True)
        columns.append(np.add.reduceat(values, first) / count)
    return np.stack(columns, axis=1) if columns else np.empty((len(np.unique(ranks.user)), 0))
