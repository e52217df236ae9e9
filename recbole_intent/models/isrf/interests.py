"""ISRF's item vectors, from texts, and group interests, from similar users."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recbole_intent.nn.graph import MeanPropagation, neighbour_adjacency

_ACTIVATIONS = {"none": nn.Identity, "gelu": nn.GELU}


class ItemAdapter(nn.Module):
    """e_v = W2 (W1 x_v + b1) + b2 for frozen text vectors x_v of the items.

    Args:
        vectors: x (V, d'), row 0 padding.
        width: d.
        activation: between the two layers: `none`, as printed, or `gelu`.

    Shapes: () -> (V, d).

    Source: ISRF, equation (2).
    """

    vectors: Tensor

    def __init__(self, vectors: Tensor, width: int, activation: str = "none") -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(vectors.size(1), width), _ACTIVATIONS[activation](), nn.Linear(width, width)
        )

    def forward(self) -> Tensor:
        """Vectors (V, width) of all items."""
        return self.layers(self.vectors)


class FrozenItems(nn.Module):
    """e_v = x_v: the text vectors (V, d) unchanged, without an adapter."""

    vectors: Tensor

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(self) -> Tensor:
        """Vectors (V, width) of all items."""
        return self.vectors


class GroupInterest(nn.Module):
    """G = mean over layers 0 .. L of (D^-½ S D^-½)^l of a free table, S between similar users.

    Args:
        n_users: U, padding included.
        width: d.
        n_layers: L >= 0.
        sigma: σ of the initial table.
        neighbours: called on the first use of G; returns (U, k) int64, similar users, -1 for none.
            Inference does not need it.
        symmetric: as in `neighbour_adjacency`.

    Shapes: () -> (U, d).

    Source: ISRF, equations (6) and (7).
    """

    def __init__(
        self,
        n_users: int,
        width: int,
        n_layers: int,
        sigma: float,
        neighbours: Callable[[], Tensor],
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        self.symmetric = symmetric
        self.table = nn.Parameter(torch.randn(n_users, width) * sigma)
        self.n_layers = n_layers
        self._neighbours = neighbours
        self._propagation: list[MeanPropagation] = []  # a list keeps it out of the module's state

    def forward(self) -> Tensor:
        """G (U, d): the group interests of all users."""
        if not self._propagation:
            adjacency = neighbour_adjacency(self._neighbours(), self.symmetric)
            self._propagation.append(MeanPropagation(adjacency, self.n_layers))
        return self._propagation[0].to(self.table.device)(self.table)
