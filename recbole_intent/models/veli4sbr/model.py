"""VELI4SBR: LLM-generated intents of training sessions guide a session model."""

from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_intent.data.formats.item_vectors import item_vectors_file, read_item_vectors
from recbole_intent.modeling.explain import HasIntentSpace, Intent
from recbole_intent.modeling.intent_control import ControlsIntents
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.models.backbones import CAUSAL, make_backbone
from recbole_intent.models.veli4sbr.intent_fusion import (
    FusionWithoutIntents,
    IntentFusion,
    decoupling_loss,
    intent_loss,
    orthogonal_loss,
)
from recbole_intent.models.veli4sbr.session_intents import read_labels
from recbole_intent.models.veli4sbr.session_labels import SessionLabels
from recbole_intent.nn.losses import random_others
from recbole_intent.utils.errors import UserError

_DECOUPLING = {"paper": decoupling_loss, "orthogonal": orthogonal_loss}
_EXPLAINED = 5  # number of intents that `explain` lists per session


class VELI4SBR(NextItemMixin, HasIntentSpace, ControlsIntents, SequentialRecommender):
    """Session-Based Recommendation with Validated and Enriched LLM Intents (Lee et al., 2025).

    | symbol | shape | meaning | source |
    |---|---|---|---|
    | B, n, d, C | | sessions of a batch, items of a session, width, intents of the pool | |
    | h | (B, d) | session vector of the backbone (`backbone`) | |
    | ŷ | (B, C) | predicted intents (`fusion`) | (8), (9) |
    | h̃ | (B, d) | h + guidance by the intents above τ; an item's score is h̃ · e_i | (11) |
    | y | (B, C) | labels (`labels`): the LLM's, later enriched (`VELI4SBRTrainer`) | (13)-(16) |

    Loss: next item (12) + `intent_weight` * intents (10) + `decouple_weight` * distance of
    intents (17). Terms of weight 0 are not computed. The next-item loss is either the binary
    cross-entropy of the target and two other items, one random and one wrongly predicted in stage
    1 (random if there is none; `loss_type: BCE2`), or the cross-entropy over all items (`CE`). The
    labels of a session apply to all its targets.

    `llm_embedding: True` ("+LE"): an item is an id vector of width d/2 and its frozen text vector,
    projected to d/2 by an MLP; the backbone, of width d/2, encodes each half separately.

    `intents: none` is the backbone alone, trained with the same loss; with `fusion_without_intents:
    True` it keeps the branch of (11), h̃ = h + Dropout(LayerNorm(h)), and differs from VELI4SBR
    only in the intents (and their hard negatives with BCE2). Recommending needs neither LLM nor
    labels.

    Raises:
        UserError: a property outside its range, or mismatched files of intents or vectors.
    """

    input_type = InputType.POINTWISE
    compiled_parts = ("encode",)

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        self.intent_weight = float(config["intent_weight"])
        self.decouple_weight = float(config["decouple_weight"])
        self.decoupling = _DECOUPLING[config["decoupling"]]
        d, vectors_file = config["hidden_size"], item_vectors_file(config)
        self.backbone = make_backbone(config, dataset, d // 2 if vectors_file else d)
        self.text = None
        if vectors_file:
            item_ids = dataset.field2id_token[config["ITEM_ID_FIELD"]]
            vectors = read_item_vectors(vectors_file, item_ids)
            self.text = ItemTexts(torch.from_numpy(vectors), d // 2)
        self.intents: list[str] = []
        self.labels: SessionLabels | None = None
        self.fusion: IntentFusion | None = None
        intent_labels = read_labels(config, dataset)
        if intent_labels is not None:
            self.intents, self.labels = intent_labels
            self.fusion = IntentFusion(
                len(self.intents),
                d,
                threshold=config["intent_threshold"],
                dropout=config["hidden_dropout_prob"],
                layer_norm_eps=config["layer_norm_eps"],
                initializer_range=config["initializer_range"],
            )
        self.empty_fusion = None
        if config["fusion_without_intents"]:
            self.empty_fusion = FusionWithoutIntents(
                d, dropout=config["hidden_dropout_prob"], layer_norm_eps=config["layer_norm_eps"]
            )
        weights = {"intent": self.intent_weight, "decouple": self.decouple_weight}
        used = [name for name, weight in weights.items() if self.fusion and weight]
        self.loss_names = ("rec", *used)

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """BERT4Rec attends in both directions, so each target needs its own row."""
        return config["backbone"] in CAUSAL

    def controls(self, config: Any) -> bool:
        """As `ControlsIntents`; `intents: none` has none."""
        return self.fusion is not None

    def item_vectors(self, items: Tensor) -> Tensor:
        """e_i (..., d) of items (...)."""
        vectors = self.backbone.item_embedding(items)
        return vectors if self.text is None else torch.cat([vectors, self.text(items)], dim=-1)

    def item_table(self) -> Tensor:
        """The vectors (V, d) that score items; row 0 is padding."""
        # BERT4Rec's table has an additional row, its mask.
        table = self.backbone.item_embedding.weight[: self.n_items]
        if self.text is None:
            return table
        return torch.cat([table, self.text.mlp(self.text.vectors)], dim=1)

    def encode(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """h (B, d) of histories (B, n) of length (B,), or (B, T, d) at lengths (B, T)."""
        h = self.backbone.encode(self.backbone.item_embedding(item_seq), item_seq_len)
        if self.text is None:
            return h
        return torch.cat([h, self.backbone.encode(self.text(item_seq), item_seq_len)], dim=-1)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """h̃, with the shape of `encode`."""
        h = self.encode(item_seq, item_seq_len)
        if self.fusion is not None:
            return self.fusion(h, self.exchanged)[0]
        return h if self.empty_fusion is None else self.empty_fusion(h)

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`; each is a mean over the batch's targets."""
        target = interaction[self.POS_ITEM_ID]
        if self.fusion is None or self.labels is None:
            h = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
            return (self._next_item_loss(*self.flatten_targets(h, target), None),)
        h = self.encode(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        user = interaction[self.USER_ID]
        if target.dim() == 2:
            user = user[:, None].expand_as(target)[target > 0]
        h, target = self.flatten_targets(h, target)
        h_tilde, logits = self.fusion(h)
        losses = [self._next_item_loss(h_tilde, target, user)]
        if self.intent_weight:
            losses.append(self.intent_weight * intent_loss(logits, *self.labels.of(user)))
        if self.decouple_weight:
            losses.append(self.decouple_weight * self.decoupling(self.fusion.intents))
        return tuple(losses)

    def _next_item_loss(self, h: Tensor, target: Tensor, user: Tensor | None) -> Tensor:
        if self.loss_type == "CE":
            return self.cross_entropy(h, target)
        items = torch.cat([target[:, None], self.negatives(target, user)], dim=1)  # (N, 3)
        score = (self.item_vectors(items) @ h.unsqueeze(-1)).squeeze(-1)
        # -log σ(s) = softplus(-s), -log(1 - σ(s)) = softplus(s)
        loss = F.softplus(-score[:, 0]) + F.softplus(score[:, 1:]).sum(dim=1)  # (12)
        return loss.mean()

    def negatives(self, target: Tensor, user: Tensor | None) -> Tensor:
        """Two items (N, 2) other than `target` (N,): one random, one hard if available.

        Args:
            target: (N,) items.
            user: (N,) their sessions; None: both are random.
        """
        items = random_others(target, self.n_items, 2)
        if user is not None and self.labels is not None:
            hard = self.labels.hard_negative(user)
            items[:, 1] = hard.where((hard > 0) & (hard != target), items[:, 1])
        return items

    @torch.no_grad()
    def explain(self, interaction: Any, n_items: int) -> list[list[Intent]]:
        """The most probable intents of each session in words, with their probabilities ŷ.

        Items are not listed: nothing in training relates an item's vector to a single intent.

        Raises:
            UserError: `intents: none`.
        """
        fusion = self._fusion()
        h = self.encode(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        y_hat, best = fusion.relevance(h).sigmoid().topk(min(_EXPLAINED, len(self.intents)))
        return [
            [Intent(y, self.intents[c]) for y, c in zip(*row, strict=True)]
            for row in zip(y_hat.tolist(), best.tolist(), strict=True)
        ]

    @torch.no_grad()
    def intent_space(self, item_seq: Tensor, item_seq_len: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Positions of sessions (B, n) among intents: k (C, d), q (B, d) and ŷ (B, C) = σ(q kᵀ).

        Raises:
            UserError: `intents: none`.
        """
        fusion = self._fusion()
        h = self.encode(item_seq, item_seq_len)
        keys, queries = fusion.key(fusion.intents), fusion.query(h)
        return keys, queries, (queries @ keys.T).sigmoid()

    def _fusion(self) -> IntentFusion:
        if self.fusion is None:
            raise UserError("--explain: this VELI4SBR has no intents (intents: none)")
        return self.fusion


class ItemTexts(nn.Module):
    """Frozen text vectors of items, projected to another width by a 2-layer MLP.

    Args:
        vectors: (V, D).
        width: output width.

    Shapes: items (...) -> (..., width).

    Source: VELI4SBR, appendix B.1 ("+LE").
    """

    vectors: Tensor

    def __init__(self, vectors: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)
        self.mlp = nn.Sequential(
            nn.Linear(vectors.size(1), width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, items: Tensor) -> Tensor:
        """Items (...) -> vectors (..., width)."""
        return self.mlp(self.vectors[items])
