"""Top-k metrics from ranks, averaged over users, with RecBole's names and values."""

from collections.abc import Sequence

import numpy as np

from recbole_intent.evaluation.definitions import METRICS, Lists
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.utils.errors import UserError


def per_user(ranks: Ranks, metric: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute one metric of the top `k` for each user.

    The definitions are RecBole's, with R the user's targets: recall = hits / |R|; hit = any;
    precision = hits / k; mrr = 1 / best rank; ndcg = sum of 1 / log2(rank + 1) over its ideal for
    min(|R|, k) hits; map = sum of precision at each hit over min(|R|, k). A target is a hit if its
    rank, with ties counted half, is <= k. If several targets of one user tie across k, more than k
    of them can be hits: values are clipped to 1.

    Args:
        ranks: at least one target.
        metric: a name of `METRICS`, in any case.
        k: >= 1.

    Returns:
        (U,) users in ascending order and (U,) float64 values in 0 .. 1.

    Raises:
        UserError: unknown metric, `k` below 1, or no targets.

    Source: `recbole.evaluator.metrics` (RecBole 1.2.1).
    """
    name = metric.lower()
    if name not in METRICS:
        raise UserError(f"metrics: {metric!r} is unknown; known are {', '.join(METRICS)}")
    if k < 1:
        raise UserError(f"topk: {k} must be at least 1")
    if len(ranks) == 0:
        raise UserError("nothing to evaluate: the split holds no targets")

    order = np.lexsort((ranks.rank, ranks.user))
    rank = ranks.rank[order]
    users, first, n_targets = np.unique(ranks.user, return_index=True, return_counts=True)
    nth = np.arange(len(rank)) - np.repeat(first, n_targets) + 1
    lists = Lists(first, n_targets, rank, (rank <= k).astype(np.float64), nth, k)
    return users, np.minimum(METRICS[name](lists), 1.0)


def evaluate(ranks: Ranks, metrics: Sequence[str], topk: Sequence[int]) -> dict[str, float]:
    """Average metrics over users.

    Args:
        ranks: at least one target.
        metrics: names as in `per_user`.
        topk: list lengths, each >= 1.

    Returns:
        Plain floats under RecBole's names, such as `recall@10`, in the requested order.

    Raises:
        UserError: as `per_user`.
    """
    return {
        f"{metric.lower()}@{k}": float(per_user(ranks, metric, k)[1].mean())
        for metric in metrics
        for k in topk
    }


def user_values(ranks: Ranks, metrics: Sequence[str], by_target: bool) -> np.ndarray:
    """Compute the metrics of each user.

    Args:
        ranks: ranks of the test targets.
        metrics: such as `recall@10`.
        by_target: evaluate one list per target and average by user, as for sequential models;
            else one list per user.

    Returns:
        (U, M) float64, users in ascending order.
    """
    columns = []
    for metric in metrics:
        name, _, k = metric.partition("@")
        if not by_target:
            columns.append(per_user(ranks, name, int(k))[1])
            continue
        rows = Ranks(np.arange(len(ranks)), ranks.target, ranks.rank)
        values = per_user(rows, name, int(k))[1]  # (N,), in the order of `ranks`
        _, first, count = np.unique(ranks.user, return_index=True, return_counts=True)
        columns.append(np.add.reduceat(values, first) / count)
    return np.stack(columns, axis=1)
