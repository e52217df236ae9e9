"""RLMRec's alignment with texts around an encoder of histories, for sessions."""

from typing import Any

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.models.backbones import CAUSAL, make_backbone
from recbole_intent.models.rlmrec.alignment import agreement, text_mlp
from recbole_intent.models.rlmrec.texts import node_texts
from recbole_intent.nn.losses import random_others, sampled_binary_cross_entropy


class RLMRecSeq(NextItemMixin, SequentialRecommender):
    """RLMRec (Ren et al., WWW 2024) for sessions, which have no vector of their own in a graph.

    VELI4SBR's Table 2 has RLMRec-Con and RLMRec-Gen on session encoders and does not say how. This
    adaptation is ours: the encoder's vector takes the place of the user's.

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d | | histories of a batch, items of a history, width: `hidden_size` |
    | E | (V, d) | item table |
    | h | (B, d) | `backbone` over E of a history; a score is h . E_i |
    | z | D | text vectors of training sessions' (users') profiles and of items, frozen |

    Loss: next item + `text_weight` * (alignment of h with its session's z + alignment of E with z
    over the batch's distinct target items). Alignment is InfoNCE (cosine, τ) against the texts of
    the batch's distinct sessions, or items.

    `variant: con`: of h, E with m(z), an MLP from D to d. `variant: gen`: in training a share
    `mask_ratio` of the history's items is replaced by a learned vector, and the alignment is of
    m(h), m(E), an MLP from d to D, with z.

    Sessions of validation and test need no texts.

    Raises:
        UserError: text vectors are missing, or of another split.
    """

    input_type = InputType.POINTWISE
    z: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        self.next_item_loss = config["next_item_loss"]
        self.text_weight = float(config["text_weight"])
        self.temperature = config["temperature"]
        self.is_generative = config["variant"] == "gen"
        self.mask_ratio = config["mask_ratio"]
        self.loss_names = ("rec", "text") if self.text_weight else ("rec",)
        d = config["hidden_size"]
        self.backbone = make_backbone(config, dataset, d)
        if self.is_generative:
            self.mask_vector = nn.Parameter(torch.zeros(d))
        if self.text_weight:
            self.register_buffer("z", node_texts(config, dataset), persistent=False)
            self.n_sessions = dataset.user_num
            self.mlp = text_mlp(d, self.z.size(1), generative=self.is_generative)

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """BERT4Rec attends in both directions, so each target needs its own row."""
        return config["backbone"] in CAUSAL

    def item_table(self) -> Tensor:
        """E (V, d)."""
        return self.backbone.item_embedding.weight[: self.n_items]  # BERT4Rec adds its mask

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """h (B, d) of histories (B, n) of length (B,), or (B, T, d) at lengths (B, T)."""
        x = self.backbone.item_embedding(item_seq)
        if self.is_generative and self.training:
            is_masked = torch.rand(item_seq.shape, device=x.device) < self.mask_ratio
            x = torch.where(is_masked[..., None], self.mask_vector, x)
        return self.backbone.encode(x, item_seq_len)

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`."""
        h, target = self.encode_targets(interaction)
        table = self.item_table()
        if self.next_item_loss == "CE":
            loss = self.cross_entropy(h, target)
        else:
            negatives = random_others(target, len(table))
            loss = sampled_binary_cross_entropy(h, table, target, negatives)
        if not self.text_weight:
            return (loss,)
        of_target, session = interaction[self.POS_ITEM_ID], interaction[self.USER_ID]
        if of_target.dim() == 2:
            session = session[:, None].expand_as(of_target)[of_target > 0]
        sessions, own = session.unique(return_inverse=True)
        items = target.unique()
        text = self._aligned(h, sessions, own)
        every = torch.arange(len(items), device=items.device)
        text = text + self._aligned(table[items], self.n_sessions + items, every)
        return loss, self.text_weight * text

    def _aligned(self, x: Tensor, nodes: Tensor, own: Tensor) -> Tensor:
        """Alignment of x (N, d) with the texts of its `own` (N,) of `nodes` (M,)."""
        z = self.z[nodes]
        if self.is_generative:
            return agreement(self.mlp(x), z, own, self.temperature)
        return agreement(x, self.mlp(z), own, self.temperature)
