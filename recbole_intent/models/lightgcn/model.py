"""LightGCN with RecBole's weights, losses and scores, and faster graph propagation."""

import torch
from recbole.model.general_recommender.lightgcn import LightGCN as RecBoleLightGCN
from torch import Tensor

from recbole_intent.nn.graph import MeanPropagation, bipartite_adjacency


class LightGCN(RecBoleLightGCN):
    """RecBole's LightGCN, with sparse CSR products and a single propagation in the backward pass.

    RecBole multiplies by a COO matrix, which torch sorts again in each product, and builds it edge
    by edge; the results are the same.

    Args:
        config: with `embedding_size`, `n_layers`, `reg_weight`, `require_pow`.
        dataset: the training split.

    Raises:
        UserError: torch-geometric is not installed.

    Source: He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation", SIGIR 2020, equations (3) to (8), (15).
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        edges = self.interaction_matrix
        users, items = (torch.from_numpy(ids).long() for ids in (edges.row, edges.col))
        adjacency = bipartite_adjacency(users, items, self.n_users, self.n_items)
        self.propagation = MeanPropagation(adjacency, self.n_layers)

    def get_norm_adj_mat(self) -> Tensor:
        """An empty tensor for RecBole's constructor: `propagation` holds the graph."""
        return torch.empty(0)

    def forward(self) -> tuple[Tensor, Tensor]:
        """The vectors of all users (U, d) and of all items (V, d)."""
        return self.propagation(self.get_ego_embeddings()).split([self.n_users, self.n_items])
