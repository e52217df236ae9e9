"""Explicit interests of users by a graph with items, and implicit ones of groups (ISRF)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recbole_intent.nn.graph import MeanPropagation, bipartite_adjacency, neighbour_adjacency

_ACTIVATIONS = {"none": nn.Identity, "gelu": nn.GELU}


class ItemAdapter(nn.Module):
    """e_v = W2 (W1 x_v + b1) + b2 of frozen vectors of the items' texts.

    Args:
        vectors: x (V, d'), row 0 padding.
        width: d.
        activation: `none`, as printed, or `gelu`, between the two.

    Shapes: () -> (V, d).

    Source: ISRF, equation (2).
    """

    def __init__(self, vectors: Tensor, width: int, activation: str = "none") -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(vectors.size(1), width), _ACTIVATIONS[activation](), nn.Linear(width, width)
        )

    def forward(self) -> Tensor:
        return self.layers(self.vectors)


class FrozenItems(nn.Module):
    """e_v = x_v: texts' vectors (V, d) as they are, without an adapter."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(self) -> Tensor:
        return self.vectors


class RandomItems(nn.Module):
    """e_v (V, d) from N(0, σ²), learned: items without texts."""

    def __init__(self, n_items: int, width: int, sigma: float) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(n_items, width) * sigma)

    def forward(self) -> Tensor:
        return self.vectors


class ExplicitInterest(nn.Module):
    """E = mean over layers 0 .. L of (D^-½ A D^-½)^l [users; items], A from interactions.

    Args:
        users: (P,) int64, users of the interactions.
        items: (P,) int64, their items.
        n_users: U, padding included.
        item_vectors: gives e_v (V, d).
        n_items: V, padding included.
        width: d.
        n_layers: L, from 0.
        sigma: σ of the users' vectors at the start.
        learn_users: False: they stay as they are, and all that is learned of a user is learned of
            its items.

    Shapes: () -> (U + V, d), users first.

    Source: ISRF, equations (3) and (4).
    """

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        n_users: int,
        item_vectors: nn.Module,
        n_items: int,
        width: int,
        n_layers: int,
        sigma: float,
        learn_users: bool = True,
    ) -> None:
        super().__init__()
        self.n_users = n_users
        vectors = torch.randn(n_users, width) * sigma
        self.user_vectors = nn.Parameter(vectors, requires_grad=learn_users)
        self.item_vectors = item_vectors
        adjacency = bipartite_adjacency(users, items, n_users, n_items)
        self.propagation = MeanPropagation(adjacency, n_layers)
        n_edges = adjacency.crow_indices().long().diff()
        row = torch.arange(len(n_edges)).repeat_interleave(n_edges)
        for name, values in (
            ("_degree", n_edges),
            ("_row", row),
            ("_column", adjacency.col_indices().long()),
        ):
            self.register_buffer(name, values, persistent=False)

    def forward(self, hidden: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """E, without the edges of `hidden`: users (B,) and items (B,); others are passed over."""
        x = torch.cat([self.user_vectors, self.item_vectors()])
        value = None if hidden is None else self.edges_without(*hidden)
        return self.propagation(x, value)

    def items_of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The edges of users (B,): which of the B each belongs to (P,), and its item (P,)."""
        count = self._degree[users]
        row = torch.arange(len(users), device=users.device).repeat_interleave(count)
        start = self._degree.cumsum(0)[users] - count  # where a user's edges begin
        within = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
        return row, self._column[start[row] + within] - self.n_users

    def edges_without(self, users: Tensor, items: Tensor) -> Tensor:
        """Weights of all edges, normalised as if those of pairs (B,) and (B,) were not there."""
        n, nodes = len(self._degree), items + self.n_users
        wanted = torch.unique(torch.cat([users * n + nodes, nodes * n + users]))
        keys = self._row * n + self._column  # rises
        place = torch.searchsorted(keys, wanted).clamp_max(max(len(keys) - 1, 0))
        place = place[keys[place] == wanted]
        degree = self._degree - torch.bincount(self._row[place], minlength=n)
        scale = degree.clamp_min(1).to(self.user_vectors.dtype).rsqrt()
        value = scale[self._row] * scale[self._column]
        value[place] = 0
        return value


class GroupInterest(nn.Module):
    """G = mean over layers 0 .. L of (D^-½ S D^-½)^l of a free table, S among users alike.

    Args:
        n_users: U, padding included.
        width: d.
        n_layers: L, from 0.
        sigma: σ of the table at the start.
        neighbours: called when G is asked for first; gives (U, k) int64, users alike, -1 for none.
            What only recommends has no need of it.
        symmetric: S as of `neighbour_adjacency`.

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
        self._propagation: list[MeanPropagation] = []  # in a list: no part of the module's state

    def forward(self) -> Tensor:
        if not self._propagation:
            adjacency = neighbour_adjacency(self._neighbours(), self.symmetric)
            self._propagation.append(MeanPropagation(adjacency, self.n_layers))
        return self._propagation[0].to(self.table.device)(self.table)
