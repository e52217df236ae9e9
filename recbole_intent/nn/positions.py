"""Learned position vectors, counted from the start or from the end of a history."""

import torch
from torch import Tensor

START, END = "start", "end"


def position_vectors(table: Tensor, length: Tensor, n: int, origin: str) -> Tensor:
    """Position vectors of right-padded histories.

    Args:
        table: (P, d) learned vectors, P >= n.
        length: (B,) or (B, T) items per row, or of several prefixes of each row, of which the
            longest counts.
        n: width of the rows.
        origin: `start`: the first item has position 0; `end`: the last one.

    Returns:
        (n, d), the same for all rows, or (B, n, d); any vector at padding.
    """
    if origin == START:
        return table[:n]
    whole = length if length.dim() == 1 else length.amax(dim=1)
    column = torch.arange(n, device=length.device)
    return table[(whole.unsqueeze(1) - 1 - column).clamp_min(0)]
