"""Session graphs: the distinct values of a session, and which of them follow one another."""

import torch
from torch import Tensor


def transitions(seq: Tensor) -> tuple[Tensor, Tensor]:
    """The graph of each session, whose nodes are the first places of its distinct values.

    Args:
        seq: (B, n) values from 1, such as items, right-padded with 0.

    Returns:
        (B, n) the node of each place, and (B, n, n) bool: entry (i, j) is True if the value of
        node j comes directly after that of node i somewhere in the session.
    """
    B, n = seq.shape
    first = (seq[:, :, None] == seq[:, None, :]).float().argmax(dim=2)
    follows = torch.zeros(B, n, n, dtype=torch.bool, device=seq.device)
    row, place = (seq[:, 1:] > 0).nonzero(as_tuple=True)
    follows[row, first[row, place], first[row, place + 1]] = True
    return first, follows
