"""The k best items of each row of scores, exactly, with ties in a fixed order."""

import torch
from torch import Tensor

from recbole_intent.errors import UserError


def top_k(
    scores: Tensor, k: int, *, excluded: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """The k highest scores of each row and their items, best first; equal ones by lowest item id.

    Item 0 is padding and never among them. `torch.topk` leaves the order of equal scores open,
    and which of them it takes at the end of the list; here both follow the item id, so that a
    list does not depend on the batch it was made in.

    Args:
        scores: (B, V) scores of all items, float. Not changed.
        k: at least 1.
        excluded: (rows, items), two (P,) int64 tensors of items that must not be listed.

    Returns:
        (B, K) scores and (B, K) int64 items, K = min(k, V - 1). A row that has fewer than K items
        left ends with scores of minus infinity: its list is shorter.

    Raises:
        UserError: a score is NaN, which has no place in an order.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    n_items = scores.size(1)
    k = min(k, n_items - 1)
    scores = scores.clone()  # a model may hand out what it keeps
    scores[:, 0] = float("-inf")
    if excluded is not None:
        scores[excluded] = float("-inf")
    # One more than asked for shows whether the list ends among equal scores.
    best, items = scores.topk(min(k + 1, n_items), dim=1)
    if best.isnan().any():  # NaN counts as the largest
        row = int(best.isnan().any(dim=1).nonzero()[0])
        item = int(scores[row].isnan().nonzero()[0])
        raise UserError(
            f"the model scores item {item} of row {row} as NaN: training diverged, so lower "
            "learning_rate"
        )
    last, after = best[:, k - 1], best[:, k] if best.size(1) > k else None
    best, items = _equal_by_id(best[:, :k], items[:, :k])
    if after is not None:
        tied = ((after == last) & (last > float("-inf"))).nonzero().flatten()
        if len(tied):
            items[tied] = _lowest_of_the_tied(scores[tied], best[tied], items[tied])
    return best, items


def _equal_by_id(best: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Reorder equal scores of each (B, K) row by item id."""
    items, by_id = items.sort(dim=1)
    best, by_score = best.gather(1, by_id).sort(dim=1, descending=True, stable=True)
    return best, items.gather(1, by_score)


def _lowest_of_the_tied(scores: Tensor, best: Tensor, items: Tensor) -> Tensor:
    """Items (T, K) of rows whose last score has equals beyond the list: the lowest ids of them."""
    n_items, k = scores.size(1), best.size(1)
    last = best[:, -1:]
    n_above = (best > last).sum(dim=1, keepdim=True)  # (T, 1), below k
    # A larger key is a lower id; 0 where the score is another. Integers: exact at any size.
    key = torch.arange(n_items, 0, -1, device=scores.device, dtype=torch.int32)
    lowest = torch.where(scores == last, key, 0).topk(k, dim=1).indices  # (T, K)
    column = torch.arange(k, device=scores.device).expand_as(items)
    equals = lowest.gather(1, (column - n_above).clamp_min(0))
    return torch.where(column < n_above, items, equals)
