"""One view of sessions: values of their items, the sessions' graphs, and frequent patterns."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_intent.models.fapat.patterns import Patterns
from recbole_intent.nn.session_graph import transitions
from recbole_intent.nn.strips import in_strips

# How node j stands to node i in a graph; 0: not at all.
SELF, BEFORE, AFTER, BOTH = 1, 2, 3, 4


class RelationAttention(nn.Module):
    """A layer of graph attention with a weight vector for each kind of edge.

    e_ij = LeakyReLU(a_r . (h_i ⊙ h_j)) with r the relation of j to i; the softmax of e over the
    neighbours of i weighs their h_j.

    Args:
        d: width.

    Shapes: h (B, n, d), relation (B, n, n) -> (B, n, d), zero for nodes without neighbours.

    Source: Wang et al., "Global Context Enhanced Graph Neural Networks for Session-based
    Recommendation", SIGIR 2020, equations (5) to (7).
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(BOTH, d))
        nn.init.normal_(self.a, std=d**-0.5)

    def forward(self, h: Tensor, relation: Tensor) -> Tensor:
        """As above."""
        of_kinds = (h[:, None] * self.a[:, None]) @ h[:, None].transpose(-1, -2)  # (B, 4, n, n)
        e = of_kinds.gather(1, (relation - 1).clamp_min(0)[:, None]).squeeze(1)
        is_linked = relation > 0
        # A finite filling, for rows of padding have no neighbour at all.
        e = F.leaky_relu(e, 0.2).masked_fill(~is_linked, torch.finfo(e.dtype).min)
        return (e.softmax(dim=-1) * is_linked) @ h


class View(nn.Module):
    """The items of sessions, or one of their attributes.

    Args:
        d: width.
        n_values: K, number of values; 0 is padding.
        patterns: frequent patterns of these values; None for items, which have none.
    """

    nodes: Tensor
    relation: Tensor

    def __init__(self, d: int, n_values: int, patterns: Patterns | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_values + 1, d, padding_idx=0)
        self.graph = RelationAttention(d)
        self.n_patterns = 0 if patterns is None else len(patterns)
        if patterns is not None:
            relation = torch.from_numpy(patterns.linked) * BOTH
            nodes = torch.from_numpy(patterns.nodes)
            relation.diagonal(dim1=1, dim2=2).copy_(SELF * (nodes > 0))
            self.register_buffer("nodes", nodes, persistent=False)
            self.register_buffer("relation", relation, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """States (B, n, d) of the places of sessions with values (B, n), 0 for padding."""
        first, follows = transitions(values)
        relation = AFTER * follows + BEFORE * follows.transpose(1, 2)
        relation = relation.clamp_max(BOTH)
        is_node = (values > 0) & (first == torch.arange(values.size(1), device=values.device))
        diagonal = relation.diagonal(dim1=1, dim2=2)
        diagonal.copy_(SELF * is_node)
        states = self.graph(self.embedding(values), relation)
        return states.gather(1, first[..., None].expand_as(states))

    @torch.no_grad()
    def matched(self, values: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """The patterns that share most nodes with each session, the most frequent of equals.

        Args:
            values: (B, n).
            size: M, number of patterns.

        Returns:
            Numbers (B, m) of patterns, m = min(M, P), and whether they share a node at all.
        """
        size = min(size, self.n_patterns)
        if not size:
            none = values.new_empty(len(values), 0)
            return none, none.bool()

        def best(values: Tensor) -> Tensor:
            has = torch.zeros(len(values), self.embedding.num_embeddings, device=values.device)
            has.scatter_(1, values, 1.0)
            with torch.autocast(values.device.type, enabled=False):
                shared = F.embedding_bag(self.nodes, has.T, mode="sum", padding_idx=0).T  # (c, P)
            place = torch.arange(1, self.n_patterns + 1, device=values.device)
            score, number = (shared - place / (self.n_patterns + 1)).topk(size)
            return torch.stack([number, (score > 0).long()], dim=1)

        number, is_match = in_strips(best, values, width=2 * self.n_patterns).unbind(dim=1)
        return number, is_match.bool()

    def vectors(self, number: Tensor) -> Tensor:
        """Vectors (..., d) of patterns by number: the mean of their nodes' states."""
        number, place = number.unique(return_inverse=True)
        nodes = self.nodes[number]  # (U, m)
        states = self.graph(self.embedding(nodes), self.relation[number])
        return (states.sum(dim=1) / (nodes > 0).sum(dim=1, keepdim=True))[place]


class ViewGate(nn.Module):
    """Mixes the views of each place by its own shares, of the strongest views alone.

    In training the logits x W get noise N(0, 1) softplus(x W').

    Args:
        n_views: number of views.
        d: width.
        most: views with a share, at most.
        is_noisy: whether training draws noise.

    Source: Shazeer et al., "Outrageously Large Neural Networks", ICLR 2017, equations (3) to (5).
    """

    def __init__(self, n_views: int, d: int, most: int, is_noisy: bool) -> None:
        super().__init__()
        self.most = min(most, n_views)
        self.logits = nn.Linear(n_views * d, n_views)
        self.noise = nn.Linear(n_views * d, n_views) if is_noisy else None

    def forward(self, views: Tensor) -> Tensor:
        """Views (B, n, v, d) -> (B, n, d)."""
        x = views.flatten(-2)
        logits = self.logits(x)
        if self.training and self.noise is not None:
            logits = logits + torch.randn_like(logits) * F.softplus(self.noise(x))
        least = logits.topk(self.most).values[..., -1:]
        share = logits.masked_fill(logits < least, float("-inf")).softmax(dim=-1)
        return (share[..., None] * views).sum(dim=-2)
