"""LLM-ESR: a backbone over two views of a history, and users drawn to similar ones."""

from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_intent.data.formats.text_vectors import pca
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.models.backbones import CAUSAL, make_backbone
from recbole_intent.models.llmesr.texts import item_texts, similar_users
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.nn.losses import (
    linear_cross_entropy,
    random_others,
    sampled_binary_cross_entropy,
    soft_target_alignment,
)


class LLMESR(NextItemMixin, SequentialRecommender):
    """Large Language Models Enhancement for Long-tailed Recommendation (Liu et al., NeurIPS 2024).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d | | histories of a batch, items of a history, width of a view: `hidden_size` |
    | z | (V, D) | frozen text vectors of the items |
    | E | (V, d) | collaborative view: learned, begins as the first d principal components of z |
    | A(z) | (V, d) | semantic view: two linear layers, D to D/2 to d |
    | X, Y | (B, n, d) | √d E, √d A(z) of a history's items, plus position vectors |
    | X', Y' | (B, n, d) | attention of Y's queries over X, and of X's queries over Y |
    | h | (B, 2 d) | [f(X') ; f(Y')] with one `backbone` f; a score is h . [E_i ; A(z_i)] |
    | S(u) | k | users whose texts are most similar (`n_similar_users`) |

    Loss: next item + `align_weight` * MSE(h, mean of h of S(u)), whose second argument is
    constant, at the last item of each row, + `item_weight` * contrast of E and A(z) over the
    batch's items. `alignment: cl` replaces MSE with that contrast (`soft_target_alignment`).

    Next-item loss: binary cross-entropy against one random item per target (`next_item_loss:
    BCE`), or a softmax over all items (`CE`, ours).

    Deviations from the released code: the cross attention of SASRec and GRU4Rec is causal, as is
    SASRec's own attention (there, neither is, so that in training each position sees its target);
    BERT4Rec has a mask in place of the target, and each target a row; f is RecBole's network, with
    position vectors of its own; the vectors of similar users are those of the epoch's first
    weights, without dropout (there: of the current weights); negatives may be items of the user's
    history.
    """

    input_type = InputType.POINTWISE
    text: Tensor
    peer_means: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        self.next_item_loss = config["next_item_loss"]
        self.is_causal = config["backbone"] in CAUSAL
        self.align_weight = float(config["align_weight"])
        self.alignment = F.mse_loss if config["alignment"] == "kd" else soft_target_alignment
        self.item_weight = float(config["item_weight"])
        weights = {"align": self.align_weight, "item": self.item_weight}
        self.loss_names = ("rec", *(name for name, weight in weights.items() if weight))
        d, z = config["hidden_size"], item_texts(config, dataset)
        self.register_buffer("text", z, persistent=False)
        self.backbone = make_backbone(config, dataset, d)
        start = torch.from_numpy(pca(z[1:].numpy(), min(d, *z[1:].shape)))
        with torch.no_grad():
            self.backbone.item_embedding.weight[1 : len(z), : start.size(1)] = start
        middle = z.size(1) // 2
        self.adapter = nn.Sequential(nn.Linear(z.size(1), middle), nn.Linear(middle, d))
        self.position_embedding = nn.Embedding(self.max_seq_length, d)
        nn.init.normal_(self.position_embedding.weight, std=config["initializer_range"])
        self.dropout = FastDropout(config["hidden_dropout_prob"])
        self.cross = None
        if config["use_cross_attention"]:
            self.cross = nn.ModuleList(CrossAttention(d, config["cross_heads"]) for _ in range(2))
        # Of users without training items, 0 stands for no similar user.
        self.similar_users = similar_users(config, dataset) if self.align_weight else None
        means = torch.zeros(dataset.user_num, 2 * d)
        self.register_buffer("peer_means", means, persistent=False)  # set before each epoch

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """BERT4Rec attends in both directions, so each target needs its own row."""
        return config["backbone"] in CAUSAL

    def item_table(self) -> Tensor:
        """[E ; A(z)] (V, 2 d)."""
        items = self.backbone.item_embedding.weight[: self.n_items]  # BERT4Rec adds its mask
        return torch.cat([items, self.adapter(self.text)], dim=1)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """h (B, 2 d) of histories (B, n) of length (B,), or (B, T, 2 d) at lengths (B, T)."""
        return self.encode(item_seq, item_seq_len, self.item_table())

    def encode(self, item_seq: Tensor, item_seq_len: Tensor, table: Tensor) -> Tensor:
        """As `forward`, with `item_table()`."""
        views = F.embedding(item_seq, table) * (table.size(1) // 2) ** 0.5  # (B, n, 2 d)
        position = self.position_embedding.weight[: item_seq.size(1)]
        x, y = (self.dropout(view + position) for view in views.chunk(2, dim=-1))
        if self.cross is not None:
            mask = self._mask(item_seq, x.dtype)
            x, y = self.cross[0](y, x, mask), self.cross[1](x, y, mask)
        both = [self.backbone.encode(view, item_seq_len) for view in (x, y)]
        return torch.cat(both, dim=-1)

    def _mask(self, item_seq: Tensor, dtype: torch.dtype) -> Tensor:
        """Added to attention logits: -inf at later items, or at padding if all items are read."""
        n = item_seq.size(1)
        if self.is_causal:
            return torch.full((n, n), float("-inf"), dtype=dtype, device=item_seq.device).triu_(1)
        mask = torch.zeros(item_seq.shape, dtype=dtype, device=item_seq.device)
        return mask.masked_fill_(item_seq == 0, float("-inf"))[:, None, None]

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`."""
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        table = self.item_table()
        hidden = self.encode(item_seq, length, table)
        losses = [self._next(*self.flatten_targets(hidden, interaction[self.POS_ITEM_ID]), table)]
        if self.align_weight:
            losses.append(self.align_weight * self._align(interaction, hidden))
        if self.item_weight:
            items = item_seq.unique()
            items = items[items > 0]
            views = table[items].chunk(2, dim=1)
            losses.append(self.item_weight * soft_target_alignment(*views))
        return tuple(losses)

    def _next(self, h: Tensor, target: Tensor, table: Tensor) -> Tensor:
        if self.next_item_loss == "CE":
            return linear_cross_entropy(h, table, target, label_smoothing=self.label_smoothing)
        negatives = random_others(target, len(table))
        return sampled_binary_cross_entropy(h, table, target, negatives)

    def _align(self, interaction: Any, hidden: Tensor) -> Tensor:
        length = interaction[self.ITEM_SEQ_LEN]
        if hidden.dim() == 3:
            hidden = hidden[torch.arange(len(hidden), device=hidden.device), length.argmax(dim=1)]
        return self.alignment(hidden, self.peer_means[interaction[self.USER_ID]])

    def set_user_vectors(self, h: Tensor) -> None:
        """Take over h of all users (U, 2 d), for the means over similar ones."""
        assert self.similar_users is not None  # there is an alignment
        for part in torch.arange(len(h)).split(1024):
            self.peer_means[part] = h[self.similar_users[part]].mean(dim=1)


class CrossAttention(nn.Module):
    """Multi-head attention of one view's queries over the other's keys and values, no residual.

    Args:
        d: width.
        n_heads: divides `d`.

    Shapes: queries from (B, n, d), keys and values from (B, n, d) -> (B, n, d); `mask` is added to
    the logits.
    """

    def __init__(self, d: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query, self.key, self.value = (nn.Linear(d, d, bias=False) for _ in range(3))
        self.output = nn.Linear(d, d)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        """Queries of `x` over `y`."""
        q, k, v = (
            linear(of).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for linear, of in ((self.query, x), (self.key, y), (self.value, y))
        )
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(context.transpose(1, 2).flatten(-2))
