"""VELI4SBR: labels of sessions from their nearest sessions, exact and in bounded memory.

All similarities of N sessions are an N x N matrix; here only a strip of its rows exists at any
time. The k largest of a row are found in two steps: a row's columns are dealt out into groups, the
k groups of largest maximum hold the k largest numbers, and only these groups are looked into.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_GROUP = 32  # columns of a group: one pass over a row, then two short searches
_STRIP_BYTES = 32 * 2**20  # of the order of the last-level cache
_MIN_STRIP_ROWS = 32  # with a million sessions: fewer rows than these make slow products


class Neighbours:
    """The nearest of N vectors to each of them, by cosine, itself left out.

    Args:
        vectors: (N, d), N >= 2.
        k: neighbours of each, 1 <= k <= N - 1.
        strip_rows: rows of a strip, >= 1; chosen by N when None.

    Raises:
        ValueError: `k` out of its range.
    """

    def __init__(self, vectors: Tensor, k: int, strip_rows: int | None = None) -> None:
        n = len(vectors)
        if not 1 <= k < n:
            raise ValueError(f"k must be in 1 .. {n - 1} for {n} vectors, not {k}")
        self.k = k
        self.unit = F.normalize(vectors.float(), dim=1)
        self.strip_rows = strip_rows or max(_MIN_STRIP_ROWS, _STRIP_BYTES // (4 * n))
        self.n_groups = -(-n // _GROUP)
        # Filled up to whole groups by columns that are never the nearest.
        size = (min(self.strip_rows, n), _GROUP * self.n_groups)
        self._strip = self.unit.new_full(size, float("-inf"))

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours (R, k) of the vectors at `rows` (R,), R <= `strip_rows`, and their cosines.

        The nearest comes first; which of two equally near ones comes first is left open.
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

    The weights w are the softmax of these cosines. S is none of its neighbours.

    Args:
        h: (N, d) vectors of all training sessions.
        y_hat: (N, C) their predicted intents, in [0, 1], of any floating-point type.
        k: neighbours, >= 0; no more than N - 1 are taken. With none, y = ŷ_S.
        rows: (R,) the sessions S whose labels are wanted.
        strip_rows: sessions at a time; chosen by N when None.

    Returns:
        (R, C) in [0, 1], of the type of `y_hat`.

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
