"""Vectors of users and items from the graph of their interactions."""

import torch
from torch import Tensor, nn

from recbole_intent.nn.graph import MeanPropagation, bipartite_adjacency


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
