"""VELI4SBR's label refresh: labels of sessions from their nearest sessions, in bounded memory.

The similarities of N sessions form an N x N matrix, of which only a strip of rows exists at any
time. The k largest values of a row are exact and take two steps: the columns are divided into
groups; the k groups with the largest maxima contain the k largest values, so only these are
searched.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_GROUP = 32  # columns per group: one pass over a row, then two short searches
_STRIP_BYTES = 32 * 2**20  # of the order of the last-level cache
_MIN_STRIP_ROWS = 32  # for a million sessions: products of fewer rows are slow


class Neighbours:
    """The nearest of N vectors to each of them by cosine, excluding itself.

    Args:
        vectors: (N, d), N >= 2.
        k: number of neighbours, 1 <= k <= N - 1.
        strip_rows: rows per strip, >= 1; None: chosen by N.

    Raises:
        ValueError: `k` out of range.
    """

    def __init__(self, vectors: Tensor, k: int, strip_rows: int | None = None) -> None:
        n = len(vectors)
        if not 1 <= k < n:
            raise ValueError(f"k must be in 1 .. {n - 1} for {n} vectors, not {k}")
        self.k = k
        self.unit = F.normalize(vectors.float(), dim=1)
        self.strip_rows = strip_rows or max(_MIN_STRIP_ROWS, _STRIP_BYTES // (4 * n))
        self.n_groups = -(-n // _GROUP)
        # Padded to whole groups with columns that are never the nearest.
        size = (min(self.strip_rows, n), _GROUP * self.n_groups)
        self._strip = self.unit.new_full(size, float("-inf"))

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours (R, k) of the vectors at `rows` (R,), R <= `strip_rows`, and their cosines.

        Nearest first; the order of ties is unspecified.
        """
        n, m = len(self.unit), self.n_groups
        strip = self._strip[: len(rows)]
        torch.mm(self.unit[rows], self.unit.T, out=strip[:, :n])
        strip[torch.arange(len(rows), device=rows.device), rows] = float("-inf")
        by_group = strip.view(len(rows), _GROUP, m)  # column i * m + j is member i of group j
        _, groups = by_group.amax(dim=1).topk(min(self.k, m), sorted=False)  # (R, k')
        members = by_group.gather(2, groups.unsqueeze(1).expand(-1, _GROUP, -1)).flatten(1)
        cosine, place = members.topk(self.k)
        member, chosen = place // groups.size(1), place % groups.size(1)
        return member * m + groups.gather(1, chosen), cosine


def refreshed_labels(
    h: Tensor, y_hat: Tensor, k: int, rows: Tensor, strip_rows: int | None = None
) -> Tensor:
    """y = ½ (ŷ_S + Σ_S' w_S' ŷ_S') over the k sessions S' nearest to S by cosine of h.

    The weights w are the softmax of these cosines. S is not its own neighbour.

    Args:
        h: (N, d) vectors of all training sessions.
        y_hat: (N, C) their predicted intents, in [0, 1], of any floating-point type.
        k: number of neighbours, >= 0, capped at N - 1. With 0, y = ŷ_S.
        rows: (R,) the sessions S to label.
        strip_rows: sessions per strip; None: chosen by N.

    Returns:
        (R, C) in [0, 1], with the dtype of `y_hat`.

    Source: VELI4SBR, equations (14)-(16).
    """
    k = min(k, len(h) - 1)
    if k == 0:
        return y_hat[rows]
    neighbours = Neighbours(h, k, strip_rows)
    labels = y_hat.new_empty(len(rows), y_hat.size(1))
    first = 0
    for part in rows.split(neighbours.strip_rows):
        index, cosine = neighbours.of(part)
        near = y_hat[index].float()  # (r, k, C)
        shared = torch.einsum("rk,rkc->rc", cosine.softmax(dim=1), near)
        labels[first : first + len(part)] = (y_hat[part].float() + shared) / 2
        first += len(part)
    return labels
