"""Exact top-k items of each row of scores, with a deterministic order of ties."""

import torch
from torch import Tensor

from recbole_intent.utils.errors import UserError


def top_k(
    scores: Tensor, k: int, *, excluded: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the k highest scores of each row and their items, best first, ties by lowest item id.

    Item 0 is padding and never listed. `torch.topk` does not specify the order of equal scores,
    nor which of them it keeps at the end of the list. Here both follow the item id, so a list does
    not depend on its batch.

    Args:
        scores: (B, V) scores of all items, float. Not changed.
        k: at least 1.
        excluded: (rows, items), two (P,) int64 tensors of items that must not be listed.

    Returns:
        (B, K) scores and (B, K) int64 items, K = min(k, V - 1). A row with fewer than K remaining
        items ends with scores of minus infinity: its list is shorter.

    Raises:
        UserError: a score is NaN, which cannot be ordered.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    n_items = scores.size(1)
    k = min(k, n_items - 1)
    scores = scores.clone()  # the tensor may belong to the model
    scores[:, 0] = float("-inf")
    if excluded is not None:
        scores[excluded] = float("-inf")
    # One extra item shows whether the list ends within a tie.
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
    """(T, K) items of rows whose last score ties beyond the list, with the lowest tied ids."""
    n_items, k = scores.size(1), best.size(1)
    last = best[:, -1:]
    n_above = (best > last).sum(dim=1, keepdim=True)  # (T, 1), below k
    # A larger key is a lower id; 0 where the score differs. Integers are exact at any size.
    key = torch.arange(n_items, 0, -1, device=scores.device, dtype=torch.int32)
    lowest = torch.where(scores == last, key, 0).topk(k, dim=1).indices  # (T, K)
    column = torch.arange(k, device=scores.device).expand_as(items)
    equals = lowest.gather(1, (column - n_above).clamp_min(0))
    return torch.where(column < n_above, items, equals)
