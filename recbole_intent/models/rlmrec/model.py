"""RLMRec: LightGCN whose vectors agree with those of texts about users and items."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_intent.models.lightgcn.model import LightGCN
from recbole_intent.models.rlmrec.alignment import agreement, text_mlp
from recbole_intent.models.rlmrec.texts import node_texts


class RLMRec(LightGCN):
    """Representation Learning with Large Language Models for Recommendation (Ren et al., WWW 2024).

    | symbol | shape | meaning |
    |---|---|---|
    | U, V, d | | users, items, width: `embedding_size`; N = U + V nodes |
    | A | (N, N) | normalised graph of the training interactions |
    | E_0 | (N, d) | learned vectors of users and items |
    | E | (N, d) | E_0 + A E_0 + .. + A^L E_0, L = `n_layers`; a score is E_user . E_item |
    | z | (N, D) | text vectors of the profiles of users and items (`enrich`), frozen |

    Each training step keeps every edge of A with probability `keep_rate`. Loss: BPR of E +
    `reg_weight` * squared length of all weights + `text_weight` * alignment.

    `variant: con` (RLMRec-Con): the alignment is InfoNCE (cosine, τ) of E to m(z), an MLP from D to
    d: a batch's users against all users, its positive items, and its negative ones, each against
    each other.

    `variant: gen` (RLMRec-Gen): a share `mask_ratio` of the rows of E_0 is replaced by a learned
    vector before propagation, in BPR too; the alignment is InfoNCE of m(E), an MLP from d to D, to
    z over the masked nodes.

    Deviations from the released code: an edge is kept or dropped in both directions at once; a
    batch's negatives are RecBole's, which are never items of the user's training history.

    Args:
        config: with the keys of `properties/model/RLMRec.yaml`.
        dataset: the training split.

    Raises:
        UserError: torch-geometric is not installed; text vectors are missing, or of another split.
    """

    z: Tensor
    edge: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.keep_rate = config["keep_rate"]
        self.text_weight = float(config["text_weight"])
        self.is_generative = config["variant"] == "gen"
        self.temperature = config["temperature"]
        self.mask_ratio = config["mask_ratio"]
        self.loss_names = ("rec", "reg", *(("text",) if self.text_weight else ()))
        self.register_buffer("edge", self._edges(), persistent=False)
        d = config["embedding_size"]
        if self.is_generative:
            self.mask_vector = nn.Parameter(torch.zeros(1, d))
        if self.text_weight:
            self.register_buffer("z", node_texts(config, dataset), persistent=False)
            self.mlp = text_mlp(d, self.z.size(1), generative=self.is_generative)

    def _edges(self) -> Tensor:
        """The number of each of the graph's values; an edge's two directions share one."""
        start, column, _ = (
            self.propagation.get_buffer(f"adjacency_{part}").cpu().numpy()
            for part in ("start", "column", "value")
        )
        row = np.repeat(np.arange(len(start) - 1), np.diff(start))
        key = np.minimum(row, column) * len(start) + np.maximum(row, column)
        return torch.from_numpy(np.unique(key, return_inverse=True)[1])

    def forward(self) -> tuple[Tensor, Tensor]:
        """E of all users (U, d) and of all items (V, d), along all edges."""
        return self.split(self.propagate(self.get_ego_embeddings()))

    def propagate(self, x: Tensor, value: Tensor | None = None) -> Tensor:
        """The sum over layers (N, d) from E_0 `x`, with other weights of edges if given."""
        return self.propagation(x, value) * (self.n_layers + 1)

    def split(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Users (U, ...) and items (V, ...) of all nodes."""
        users, items = nodes.split([self.n_users, self.n_items])
        return users, items

    def kept_edges(self) -> Tensor | None:
        """The weights of A, with the edges that this step drops at 0; None if it keeps all."""
        if self.keep_rate == 1:
            return None
        count = int(self.edge.max()) + 1 if len(self.edge) else 0
        keep = torch.rand(count, device=self.edge.device) < self.keep_rate
        return self.propagation.adjacency_value * keep[self.edge]

    def masked(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """E_0 with the masked rows replaced, and the numbers of these nodes, never padding."""
        n_real = len(x) - 2
        chosen = torch.randperm(n_real, device=x.device)[: max(1, int(n_real * self.mask_ratio))]
        nodes = chosen + 1 + (chosen >= self.n_users - 1)  # 0 and U are padding
        is_masked = torch.zeros(len(x), 1, dtype=torch.bool, device=x.device)
        is_masked[nodes] = True
        return torch.where(is_masked, self.mask_vector, x), nodes

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`."""
        self.restore_user_e = self.restore_item_e = None  # of an evaluation
        x = self.get_ego_embeddings()
        if self.is_generative:
            x, nodes = self.masked(x)
        E = self.propagate(x, self.kept_edges())
        users, items = self.split(E)
        user, item, other = (
            interaction[name] for name in (self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID)
        )
        u, positive, negative = users[user], items[item], items[other]
        weights = [parameter.square().sum() for parameter in self.parameters()]
        losses = [
            F.softplus((u * (negative - positive)).sum(dim=1)).mean(),
            self.reg_weight * torch.stack(weights).sum(),
        ]
        if self.text_weight and self.is_generative:
            own = torch.arange(len(nodes), device=nodes.device)
            text = self._agree(self.mlp(E[nodes]), self.z[nodes], own)
            losses.append(self.text_weight * text)
        elif self.text_weight:
            of_users, of_items = self.split(self.mlp(self.z))
            own = torch.arange(len(user), device=user.device)
            text = self._agree(u, of_users[1:], user - 1)
            text = text + self._agree(positive, of_items[item], own)
            text = text + self._agree(negative, of_items[other], own)
            losses.append(self.text_weight * text)
        return tuple(losses)

    def _agree(self, x: Tensor, table: Tensor, own: Tensor) -> Tensor:
        return agreement(x, table, own, self.temperature)
