"""eSASRec: SASRec's objective with LiGR layers and a sampled softmax."""

from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.nn.positions import position_vectors


class LiGRLayer(nn.Module):
    """A pre-norm Transformer layer whose two sub-layers are gated by their input.

    X' = X + σ(X W₁) ⊙ Drop(Attention(LN(X)));  X'' = X' + σ(X' W₂) ⊙ Drop(SwiGLU(LN(X'))).

    Args:
        d: width.
        n_heads: heads; divides d.
        inner: width of the SwiGLU.
        dropout: of both sub-layers' outputs, the attention's probabilities and the SwiGLU.

    Source: Borisyuk et al., "From Features to Transformers: Redefining Ranking for Scalable
    Impact", 2025 (LiGR).
    """

    def __init__(self, d: int, n_heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_1, self.norm_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.query_key_value = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d)
        self.gate_1, self.gate_2 = nn.Linear(d, d), nn.Linear(d, d)
        self.up = nn.Linear(d, 2 * inner, bias=False)  # the gate of SwiGLU and its value
        self.down = nn.Linear(inner, d, bias=False)
        self.dropout = FastDropout(dropout)

    def forward(self, x: Tensor, last: Tensor | None = None) -> Tensor:
        """States (B, n, d) -> (B, n, d), or those at positions `last` (B,) alone -> (B, d)."""
        n = x.size(1)
        q, k, v = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, h, n, e)
            for part in self.query_key_value(self.norm_1(x)).chunk(3, dim=-1)
        )
        mask = torch.full((n, n), float("-inf"), dtype=x.dtype, device=x.device).triu_(1)
        if last is not None:
            rows = torch.arange(len(x), device=x.device)
            x, q = x[rows, last].unsqueeze(1), q[rows, :, last].unsqueeze(2)
            mask = mask[last][:, None, None]
        weights = (q @ k.transpose(-1, -2) * q.size(-1) ** -0.5 + mask).softmax(dim=-1)
        attended = self.out((self.dropout(weights) @ v).transpose(1, 2).flatten(2))
        x = x + torch.sigmoid(self.gate_1(x)) * self.dropout(attended)
        gate, value = self.up(self.norm_2(x)).chunk(2, dim=-1)
        inner = self.down(self.dropout(F.silu(gate) * value))
        x = x + torch.sigmoid(self.gate_2(x)) * self.dropout(inner)
        return x if last is None else x.squeeze(1)


class eSASRec(NextItemMixin, SequentialRecommender):
    """eSASRec: SASRec with LiGR layers and a sampled softmax (Tikhonovich et al., RecSys 2025).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d | | histories of a batch, items of a history, `hidden_size` |
    | X⁰ | (B, n, d) | dropout(item vectors + position vectors) |
    | X^l | (B, n, d) | states after LiGR layer l of `n_layers` |
    | h_u | (B, d) | X^L at the last item; an item's score is h_u · its vector |

    Every position predicts the next item, as in SASRec. The loss is the cross-entropy of the
    target among itself and `softmax_negatives` uniform negatives.

    Deviations from the released code, which is built on RecTools: negatives that equal the target
    are left out; a target more than `MAX_ITEM_LIST_LENGTH` items before a history's end is trained
    too; `train_batch_size` counts targets, not users.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        d, p = config["hidden_size"], config["hidden_dropout_prob"]
        self.origin = config["positions"]
        self.item_embedding = nn.Embedding(self.n_items, d, padding_idx=0)
        self.position_embedding = nn.Embedding(self.max_seq_length, d)
        self.dropout = FastDropout(p)
        inner = config["ffn_multiplier"] * d
        self.layers = nn.ModuleList(
            LiGRLayer(d, config["n_heads"], inner, p) for _ in range(config["n_layers"])
        )
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
        with torch.no_grad():
            self.item_embedding.weight[0] = 0
        self.prepare_softmax(config, dataset)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """User vectors (B, d) at lengths (B,), or (B, T, d) at lengths (B, T)."""
        x, table = self.item_embedding(item_seq), self.position_embedding.weight
        x = self.dropout(x + position_vectors(table, item_seq_len, x.size(1), self.origin))
        *first, final = self.layers
        for layer in first:
            x = layer(x)
        if item_seq_len.dim() == 1:
            return final(x, item_seq_len - 1)
        return self.gather_indexes(final(x), item_seq_len - 1)
