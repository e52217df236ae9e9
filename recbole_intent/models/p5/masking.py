"""Entities that are hidden as wholes, and the tokens that fill them."""

import torch
from torch import Tensor

_NO_LABEL = -100  # which T5's loss leaves out


def hidden_entities(items: Tensor, ratio: float) -> Tensor:
    """Draw which items to hide: each with probability `ratio`, and at least one of a row.

    Args:
        items: (B, n), 0 for padding.
        ratio: 0 < ratio <= 1.

    Returns:
        (B, n) bool; False at padding.
    """
    drawn = torch.rand(items.shape, device=items.device)
    drawn = drawn.masked_fill(items == 0, 2.0)
    least = drawn == drawn.amin(dim=1, keepdim=True)
    return ((drawn < ratio) | least) & (items > 0)


def in_order(tokens: Tensor, hidden: Tensor, pad: int) -> Tensor:
    """Labels (B, L): the tokens (B, n, T) of a row's hidden items (B, n), one after the other.

    Rows are filled up with -100; L is the longest row's length.
    """
    wanted = (hidden[:, :, None] & (tokens != pad)).flatten(1)  # (B, n T)
    order = (~wanted).int().argsort(dim=1, stable=True)[:, : int(wanted.sum(1).max())]
    labels = tokens.flatten(1).masked_fill(~wanted, _NO_LABEL)
    return labels.gather(1, order)
