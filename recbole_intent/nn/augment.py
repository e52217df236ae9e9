"""Random views of histories: crop, mask, reorder. All draws come from torch's generator.

Histories are rows (B, n), right-padded with 0, of lengths (B,) from 1 on. What is drawn for a row
does not depend on the number of padded columns.
"""

import torch
from torch import Tensor


def crop(item_seq: Tensor, length: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Keep a random run of consecutive items.

    Args:
        item_seq: (B, n) items.
        length: (B,) lengths.
        ratio: share of the items to keep, 0 .. 1, rounded down; at least one item stays.

    Returns:
        Items (B, n), moved to the front, and their lengths (B,).

    Source: Xie et al., "Contrastive Learning for Sequential Recommendation", ICDE 2022.
    """
    kept = (ratio * length).long().clamp_min(1)
    start = _below(length - kept + 1)
    column = torch.arange(item_seq.size(1), device=item_seq.device)
    index = (start[:, None] + column).clamp_max(item_seq.size(1) - 1)
    return item_seq.gather(1, index) * (column < kept[:, None]), kept


def mask(item_seq: Tensor, length: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Replace random items by 0, whose vector is zero; arguments and source as `crop`.

    Args:
        item_seq: (B, n) items.
        length: (B,) lengths.
        ratio: share of the items to replace, 0 .. 1, rounded down.

    Returns:
        Items (B, n) and the unchanged lengths (B,).
    """
    width = int(length.max())
    chance = torch.rand(len(item_seq), width, device=item_seq.device)
    is_padding = torch.arange(width, device=item_seq.device) >= length[:, None]
    rank = chance.masked_fill(is_padding, 2).argsort(dim=1).argsort(dim=1)
    masked = item_seq.clone()
    masked[:, :width] *= rank >= (ratio * length).long()[:, None]
    return masked, length


def reorder(item_seq: Tensor, length: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Shuffle a random run of consecutive items; source as `crop`.

    Args:
        item_seq: (B, n) items.
        length: (B,) lengths.
        ratio: share of the items in that run, 0 .. 1, rounded down.

    Returns:
        Items (B, n) and the unchanged lengths (B,).
    """
    width = int(length.max())
    run = (ratio * length).long()[:, None]
    start = _below(length[:, None] - run + 1)
    column = torch.arange(width, device=item_seq.device)
    inside = (column >= start) & (column < start + run)
    chance = torch.rand(len(item_seq), width, device=item_seq.device)
    key = torch.where(inside, start + run * chance, column.to(chance.dtype))
    shuffled = item_seq.clone()
    shuffled[:, :width] = item_seq.gather(1, key.argsort(dim=1, stable=True))
    return shuffled, length


def random_view(
    item_seq: Tensor, length: Tensor, *, crop_ratio: float, mask_ratio: float, reorder_ratio: float
) -> tuple[Tensor, Tensor]:
    """One of the three, drawn for each row; arguments and results as there."""
    views = (
        crop(item_seq, length, crop_ratio),
        mask(item_seq, length, mask_ratio),
        reorder(item_seq, length, reorder_ratio),
    )
    which = torch.randint(len(views), (len(item_seq),), device=item_seq.device)
    row = torch.arange(len(item_seq), device=item_seq.device)
    items = torch.stack([items for items, _ in views])[which, row]
    return items, torch.stack([lengths for _, lengths in views])[which, row]


def _below(limit: Tensor) -> Tensor:
    """Random integers of the shape of `limit`, each in 0 .. limit - 1."""
    chance = torch.rand(limit.shape, dtype=torch.float64, device=limit.device)
    return (chance * limit).long()
