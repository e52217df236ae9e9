"""Interface of models whose intents are centres of clusters of sequence vectors."""

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor

from recbole_intent.modeling.explain import ExplainsIntents, Intent, nearest_items
from recbole_intent.nn.kmeans import nearest_centre
from recbole_intent.utils.errors import UserError


class ClusteredIntents(ExplainsIntents, SequentialRecommender):
    """A next-item model with K centres, which `ClusteringTrainer` computes by k-means (E-step).

    List it before RecBole's class. The centres are part of the model's state, and therefore of
    every checkpoint: a buffer, or a parameter that training moves on.

    Attributes:
        centres: (K, d), in the space of `sequence_vectors`.
        clusters_prefixes: cluster every training prefix; False: each user's longest one.
    """

    centres: Tensor
    clusters_prefixes: bool = False

    @property
    def uses_centres(self) -> bool:
        """Whether the configuration gives the centres a part in the loss."""
        return True

    def needs_e_step(self, epoch: int) -> bool:
        """Whether k-means precedes an epoch, counted from 0."""
        return self.uses_centres and epoch % self.cluster_every == 0

    def prepare_centres(self, config: Any) -> None:
        """Read the options of the E-step and make room for the centres."""
        self.cluster_every = config["cluster_every"]
        size = config["num_clusters"], config["hidden_size"]
        self.register_buffer("centres", torch.zeros(size))

    @abstractmethod
    def sequence_vectors(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """The vectors (B, d) of histories (B, n) of length (B,) that are clustered."""

    def set_centres(self, centres: Tensor) -> None:
        """Take over the centres (K, d) of an E-step."""
        with torch.no_grad():
            self.centres.copy_(centres)

    @torch.no_grad()
    def explain(self, interaction: Interaction, n_items: int) -> list[list[Intent]]:
        """The centre nearest to each history, and the history's items nearest to that centre.

        Histories are assigned to one centre, so its weight is 1; it has a number and no words.
        Nearness is the cosine of an item's vector: sequence vectors are trained to have large
        products with the vectors of next items, so that both share a space.

        Raises:
            UserError: the configuration gives the centres no part in the loss.
        """
        if not self.uses_centres:
            name = type(self).__name__
            raise UserError(f"--explain: this {name} has no intents: their weight is 0")
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        which = nearest_centre(self.sequence_vectors(item_seq, length), self.centres)
        centre = F.normalize(self.centres[which], dim=-1)
        items = F.normalize(self.item_table()[item_seq], dim=-1)
        cosine = (items @ centre.unsqueeze(-1)).squeeze(-1)  # (B, n)
        return [
            [Intent(1.0, f"cluster {number + 1}", nearest_items(near, row, n_items))]
            for number, near, row in zip(which.tolist(), cosine, item_seq, strict=True)
        ]
