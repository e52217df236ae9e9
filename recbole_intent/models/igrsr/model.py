"""IGR-SR: intents distilled from a frozen SASRec guide a dual-attention reasoner."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_intent.modeling.explain import ExplainsIntents, Intent, nearest_items
from recbole_intent.modeling.intent_control import OWN, ControlsIntents
from recbole_intent.models.distilled.start import (
    DistilledStart,
    distiller_config,
    fold_of,
    unfit_distiller,
)
from recbole_intent.models.igrsr.distiller import FrozenSASRec, LatentIntentDistiller
from recbole_intent.models.igrsr.dual_attention import ACTIVATIONS, DualAttentionReasoner
from recbole_intent.models.igrsr.intents import IntentProjection, mask_intents
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.nn.losses import info_nce
from recbole_intent.nn.positions import position_vectors
from recbole_intent.utils.errors import UserError


class IGRSR(DistilledStart, ExplainsIntents, ControlsIntents, SequentialRecommender):
    """Intent-Guided Reasoning for Sequential Recommendation (Shao and Zhou).

    | symbol | shape | meaning | source |
    |---|---|---|---|
    | B, n, T | | histories of a batch, items of a history, targets of a history | |
    | k, m | | prefix vectors, intents: `n_prefix`, `n_intents` | |
    | d_l, d | | widths of distiller and reasoner: `distiller_size`, `hidden_size` | |
    | T_l | (B, m, d_l) | intents, distilled by the frozen SASRec (`distiller`) | (1)-(3) |
    | T_D | (B, m, d) | intents in the reasoner's space (`projection`) | (4) |
    | E | (B, n, d) | normalised item + position vectors; H^(0) = dropout(E) | |
    | H | (B, n, d) | states of the reasoner (`reasoner`) | (5)-(7) |
    | h_u | (B, d) | user vector, H^(L) at the last item; an item's score is h_u . E_item | |
    | M | (B, m, d) | random mask of a view T_D * M, P(0) = `p_mask` | (8) |

    Loss: cross-entropy over all items + `icr_weight` * InfoNCE between the user vectors of two
    masked views (9), (10), over the histories of the batch; rows of one user are not negatives.

    `intent_scope: prefix` (as printed): the intents of the prefix 1..t serve all its positions, so
    each target needs a pass; `forward` expands them into rows. With `causal`, position j reads
    the intents of 1..j, T_l is (B, n, m, d_l), and one pass serves all targets of a history. In
    this scope ICR is computed for the last target of each history.

    Ablations of the paper's Figure 2: `use_lid: False` (without intents to mask, ICR needs
    `icr_views: dropout`, otherwise it is skipped), `fusion: concat`, `use_icr: False`.

    `use_lid: False` with `item_init: auto` uses nothing of the distiller: the paper's "w/o LID".
    With `item_init: distiller` its items still start from the distiller's, a control that measures
    the value of that start.

    The frozen encoder is random until `load_distiller` loads its trained weights, or a checkpoint
    of the whole model is loaded.
    """

    # Methods compiled by `compile: True`: the loss calls these several times, and never `forward`.
    compiled_parts = ("distil", "reason")

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        d, m = config["hidden_size"], config["n_intents"]
        self.intent_scope = config["intent_scope"]
        self.use_lid = config["use_lid"]
        self.folds = config["distiller_folds"] if self.use_lid else 1
        self.use_concat = self.use_lid and config["fusion"] == "concat"
        self.p_mask = config["p_mask"] if config["icr_views"] == "masks" else None
        self.use_icr = config["use_icr"] and (self.use_lid or self.p_mask is None)
        self.icr_weight = config["icr_weight"]
        self.icr_temperature = config["icr_temperature"]
        self.icr_main = config["icr_main"]
        self.icr_share = config["icr_share"]
        self.icr_rescale = config["icr_rescale"]
        self.loss_names = ("rec", "icr") if self.use_icr else ("rec",)
        # Views and users of the rows of other processes, which are negatives here too.
        self.other_views: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None

        eps = config["layer_norm_eps"]
        self.item_embedding = nn.Embedding(self.n_items, d, padding_idx=0)
        self.prepare_start(config)
        self.position_embedding = nn.Embedding(self.max_seq_length, d)
        self.LayerNorm = nn.LayerNorm(d, eps=eps)
        self.dropout = FastDropout(config["hidden_dropout_prob"])
        self.reasoner = DualAttentionReasoner(
            config["n_layers"],
            d,
            config["n_heads"],
            inner_size=config["inner_size"],
            dropout=config["hidden_dropout_prob"],
            attn_dropout=config["attn_dropout_prob"],
            cross_attn_dropout=config["cross_attn_dropout_prob"],
            norm=config["norm"],
            use_cross=self.use_lid and not self.use_concat,
            activation=ACTIVATIONS[config["hidden_act"]],
            layer_norm_eps=eps,
        )
        if self.use_lid:
            # Separately trained distillers have different spaces, so each needs its own f.
            self.projection, *others = (
                IntentProjection(
                    config["distiller_size"], d, norm=config["intent_norm"], layer_norm_eps=eps
                )
                for _ in range(self.folds)
            )
            self.other_projections = nn.ModuleList(others)
            self.intent_dropout = FastDropout(config["intent_dropout_prob"])

        self.origin = config["positions"]
        self.prepare_softmax(config, dataset)
        self.initializer_range = config["initializer_range"]
        self.apply(self._init_weights)
        if self.use_lid:  # after `apply`, because it has its own initialisation
            self.distiller, *other_distillers = (
                LatentIntentDistiller(
                    self._untrained_encoder(distiller_config(config)),
                    config["n_prefix"],
                    m,
                    self.initializer_range,
                )
                for _ in range(self.folds)
            )
            self.other_distillers = nn.ModuleList(other_distillers)

    def _untrained_encoder(self, shape: dict[str, Any]) -> FrozenSASRec:
        return FrozenSASRec.untrained(
            self.n_items,
            self.max_seq_length,
            shape["hidden_size"],
            n_layers=shape["n_layers"],
            n_heads=shape["n_heads"],
            inner_size=shape["inner_size"],
            hidden_act=shape["hidden_act"],
            layer_norm_eps=shape["layer_norm_eps"],
        )

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """In scope `prefix` each target has its own intents, so it needs its own row."""
        return not config["use_lid"] or config["intent_scope"] == "causal"

    def controls(self, config: Any) -> bool:
        """As `ControlsIntents`; without LID there are no intents."""
        return self.use_lid

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise as RecBole's SASRec: N(0, `initializer_range`), LayerNorm 1 and 0, bias 0."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)

    @property
    def wanted_distillers(self) -> list[int | None]:
        """As `DistilledStart`; each fold of users reads the intents of its own distiller."""
        if not self.use_lid:
            return super().wanted_distillers
        if self.folds == 1:
            return [None]
        return [*super().wanted_distillers, *range(self.folds)]

    def load_distiller(self, state_dict: dict[str, Tensor], fold: int | None = None) -> None:
        """Load the weights of a trained SASRec (`distiller_config`).

        They go into the frozen encoder of a fold, or into the only encoder. The item vectors of the
        distiller of all users also go into the item table's first d_l columns (`item_init:
        distiller`).

        Raises:
            UserError: the weights have another shape, or the model does not use them.
        """
        super().load_distiller(state_dict, fold)
        if self.use_lid and (fold is not None or self.folds == 1):
            try:
                self._distillers()[fold or 0].encoder.load_state_dict(state_dict)
            except RuntimeError as error:  # torch's message lists pages of names
                raise unfit_distiller() from error

    def _distillers(self) -> list[LatentIntentDistiller]:
        return [self.distiller, *self.other_distillers]

    def forward(self, item_seq: Tensor, item_seq_len: Tensor, user: Tensor | None = None) -> Tensor:
        """User vectors h_u of histories `item_seq` (B, n), right-padded with 0.

        `item_seq_len` is (B,), or (B, T) for several prefixes of each (0: none, any vector).
        `user` (B,) are the user ids, for `distiller_folds`; None: histories of new users.
        Returns (B, d) or (B, T, d).
        """
        if self._needs_rows(item_seq_len):
            B, T = item_seq_len.shape
            rows = item_seq.repeat_interleave(T, dim=0)
            user = None if user is None else user.repeat_interleave(T)
            return self.forward(rows, item_seq_len.reshape(-1), user).view(B, T, -1)
        T_D = self.distil(item_seq, item_seq_len, user)
        return self.reason(self.embed(item_seq), T_D, item_seq_len)

    def user_vectors(self, interaction: Any) -> Tensor:
        """User vectors of a batch's histories, with the user ids if they are known."""
        user = _user_of(interaction, self.USER_ID)
        return self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN], user)

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """(L_rec, `icr_weight` * L_ICR) of a batch, or (L_rec,) without ICR; see `loss_names`."""
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        target, user = interaction[self.POS_ITEM_ID], interaction[self.USER_ID]
        if self._needs_rows(length):
            row, column = torch.nonzero(target, as_tuple=True)
            item_seq, user = item_seq[row], user[row]
            length, target = length[row, column], target[row, column]

        E, T_D = self.embed(item_seq), self.distil(item_seq, length, user)
        is_view = self.use_icr and self.icr_main == "view"
        h_u = self.reason(E, self._view(T_D) if is_view else T_D, length)
        rec = self.cross_entropy(*self.flatten_targets(h_u, target))
        if not self.use_icr:
            return (rec,)

        rows = self._icr_rows(len(item_seq), item_seq.device)
        last = length if length.dim() == 1 else length.amax(dim=1)
        E_icr, T_icr, last_icr = E[rows], None if T_D is None else T_D[rows], last[rows]
        if is_view:
            h_1 = h_u if length.dim() == 1 else self.gather_indexes(h_u, length.argmax(dim=1))
            h_1 = h_1[rows]
        else:
            h_1 = self.reason(E_icr, self._view(T_icr), last_icr)
        h_2 = self.reason(E_icr, self._view(T_icr), last_icr)
        group = user[rows]
        others = self.other_views(h_2, group) if self.other_views else None
        icr = info_nce(h_1, h_2, self.icr_temperature, group=group, others=others)
        return rec, self.icr_weight * icr

    def loss_terms(self, interaction: Any) -> tuple[int, ...]:
        """Number of targets of the batch, and of rows of ICR."""
        (targets,) = super().loss_terms(interaction)
        if not self.use_icr:
            return (targets,)
        length = interaction[self.ITEM_SEQ_LEN]
        rows = targets if self._needs_rows(length) else len(length)
        return targets, math.ceil(self.icr_share * rows)

    @torch.no_grad()
    def explain(self, interaction: Any, n_items: int) -> list[list[Intent]]:
        """Intents that the last position attends to, and the nearest items of the history to each.

        The weight of an intent is its share of the last layer's cross-attention at the last item,
        averaged over heads. Nearness is the cosine between T_l and the item vectors of the frozen
        encoder. These share a space: the encoder was trained so that output states such as T_l
        point at item vectors. T_D, in the reasoner's space, is only read through keys and values,
        and nothing in training relates it to item vectors.

        Raises:
            UserError: there is no cross-attention (`use_lid: False` or `fusion: concat`).
        """
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        user = _user_of(interaction, self.USER_ID)
        T_D = self.distil(item_seq, length, user)
        if T_D is None or self.use_concat:
            raise UserError(
                "--explain: this IGRSR has no cross-attention over intents (use_lid: False or "
                "fusion: concat)"
            )
        H = self.dropout(self.embed(item_seq))
        weights = self.reasoner.intent_weights(H, T_D, length - 1)  # (B, m)

        def nearness(f: int, rows: Tensor | slice) -> Tensor:
            distiller = self._distillers()[f]
            T_l = F.normalize(distiller(item_seq[rows], length[rows]), dim=-1)  # (B, m, d_l)
            items = F.normalize(distiller.encoder.item_embedding(item_seq[rows]), dim=-1)
            return T_l @ items.transpose(1, 2)  # (B, m, n)

        cosine = self._by_fold(nearness, user, len(item_seq))
        return [
            [
                Intent(float(weight), items=nearest_items(near, row, n_items))
                for weight, near in zip(weights[b], cosine[b], strict=True)
            ]
            for b, row in enumerate(item_seq)
        ]

    def embed(self, item_seq: Tensor) -> Tensor:
        """E (B, n, d): the reasoner's input before dropout."""
        table, length = self.position_embedding.weight, (item_seq != 0).sum(dim=1)
        position = position_vectors(table, length, item_seq.size(1), self.origin)
        return self.LayerNorm(self.item_embedding(item_seq) + position)

    def distil(self, item_seq: Tensor, length: Tensor, user: Tensor | None = None) -> Tensor | None:
        """T_D: (B, m, d) in scope `prefix`, (B, n, m, d) in scope `causal`; None without LID.

        The intents of a `user` (B,) come from the distiller that was not trained on that user, if
        there are several `distiller_folds`; those of new users (None) from the first.
        """
        if not self.use_lid:
            return None
        projections = [self.projection, *self.other_projections]

        def one(f: int, rows: Tensor | slice) -> Tensor:
            distiller = self._distillers()[f]
            if self.intent_scope == "causal":
                T_l = distiller.forward_all(item_seq[rows])
            else:
                T_l = distiller(item_seq[rows], length[rows])
            return projections[f](T_l)  # (4)

        T_D = self.intent_dropout(self._by_fold(one, user, len(item_seq)))
        if self.intent_scope == "causal" and self.intent_control != OWN and not self.training:
            # Shorter histories have no intents at later positions: they keep their last ones.
            last = (item_seq != 0).sum(dim=1, keepdim=True) - 1
            position = torch.arange(item_seq.size(1), device=item_seq.device).minimum(last)
            T_D = T_D[torch.arange(len(T_D), device=T_D.device)[:, None], position]
        return self.exchanged(T_D)

    def _by_fold(
        self, read: Callable[[int, Tensor | slice], Tensor], user: Tensor | None, B: int
    ) -> Tensor:
        """`read(f, rows)` for the rows of each fold f, concatenated in the order of the rows."""
        if self.folds == 1 or user is None:
            return read(0, slice(None))
        fold, parts, order = fold_of(user, self.folds), [], []
        for f in range(self.folds):
            rows = (fold == f).nonzero().flatten()
            order.append(rows)
            # A fold without rows reads one row and drops it, so that all weights have a gradient:
            # torchrun's processes expect gradients of the same parameters.
            parts.append(read(f, rows) if len(rows) else read(f, slice(0, 1))[:0])
        return torch.cat(parts)[torch.cat(order).argsort()]

    def reason(self, E: Tensor, T_D: Tensor | None, length: Tensor) -> Tensor:
        """h_u (B, d) or (B, T, d) at `length` (B,) or (B, T), with newly drawn dropout."""
        H = self.dropout(E)  # (B, n, d)
        last = length - 1
        if self.use_concat and T_D is not None:
            # Intents come first, so the causal mask lets all items attend to all of them.
            H = torch.cat([T_D, H], dim=1)  # (B, m + n, d)
            last = last + T_D.size(1)
        return self.reasoner(H, T_D, last.clamp_min(0))

    def _view(self, T_D: Tensor | None) -> Tensor | None:
        if self.p_mask is None or T_D is None:
            return T_D
        return mask_intents(T_D, self.p_mask, rescale=self.icr_rescale)  # (8)

    def _needs_rows(self, length: Tensor) -> bool:
        """Whether each target needs its own pass and the batch has several targets per history."""
        return self.use_lid and self.intent_scope == "prefix" and length.dim() == 2

    def _icr_rows(self, B: int, device: torch.device) -> Tensor | slice:
        if self.icr_share == 1:
            return slice(None)
        return torch.randperm(B, device=device)[: math.ceil(self.icr_share * B)]


def _user_of(interaction: Any, field: str) -> Tensor | None:
    """The users (B,) of a batch; None for histories of new users."""
    columns = getattr(interaction, "interaction", interaction)
    return columns.get(field)
