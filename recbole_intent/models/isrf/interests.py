"""ISRF's explicit interests, from the user-item graph, and implicit ones, from similar users."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recbole_intent.nn.graph import MeanPropagation, bipartite_adjacency, neighbour_adjacency

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


class RandomItems(nn.Module):
    """e_v (V, d), learned and initialised from N(0, σ²), for items without texts."""

    def __init__(self, n_items: int, width: int, sigma: float) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(n_items, width) * sigma)

    def forward(self) -> Tensor:
        """Vectors (V, width) of all items."""
        return self.vectors


class ExplicitInterest(nn.Module):
    """E = mean over layers 0 .. L of (D^-½ A D^-½)^l [users; items], A from interactions.

    Args:
        users: (P,) int64, users of the interactions.
        items: (P,) int64, their items.
        n_users: U, padding included.
        item_vectors: a module that returns e_v (V, d).
        n_items: V, padding included.
        width: d.
        n_layers: L >= 0.
        sigma: σ of the initial user vectors.
        learn_users: False: the initial user vectors stay fixed, and users are represented only
            through their items.

    Shapes: () -> (U + V, d), users first.

    Source: ISRF, equations (3) and (4).
    """

    _degree: Tensor
    _row: Tensor
    _column: Tensor

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
        """E, without the edges `hidden`: users (B,) and items (B,); non-edges are ignored."""
        x = torch.cat([self.user_vectors, self.item_vectors()])
        value = None if hidden is None else self.edges_without(*hidden)
        return self.propagation(x, value)

    def items_of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The edges of users (B,): the index in the batch (P,) and the item (P,) of each."""
        count = self._degree[users]
        row = torch.arange(len(users), device=users.device).repeat_interleave(count)
        start = self._degree.cumsum(0)[users] - count  # start of each user's edges
        within = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
        return row, self._column[start[row] + within] - self.n_users

    def edges_without(self, users: Tensor, items: Tensor) -> Tensor:
        """Weights of all edges, normalised as if the pairs (B,) and (B,) did not exist."""
        n, nodes = len(self._degree), items + self.n_users
        wanted = torch.unique(torch.cat([users * n + nodes, nodes * n + users]))
        keys = self._row * n + self._column  # sorted
        place = torch.searchsorted(keys, wanted).clamp_max(max(len(keys) - 1, 0))
        place = place[keys[place] == wanted]
        degree = self._degree - torch.bincount(self._row[place], minlength=n)
        scale = degree.clamp_min(1).to(self.user_vectors.dtype).rsqrt()
        value = scale[self._row] * scale[self._column]
        value[place] = 0
        return value


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
