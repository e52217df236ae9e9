"""IGR-SR's reasoner: layers of cross-attention to intents followed by causal self-attention."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_intent.nn.dropout import FastDropout

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class Attention(nn.Module):
    """Multi-head attention from one sequence to another, or to itself.

    Args:
        hidden_size: d.
        n_heads: h, a divisor of d.
        dropout: dropout probability of the output.
        attn_dropout: dropout probability of the attention weights.

    Raises:
        ValueError: `n_heads` does not divide `hidden_size`.
    """

    def __init__(
        self, hidden_size: int, n_heads: int, dropout: float = 0.0, attn_dropout: float = 0.0
    ) -> None:
        super().__init__()
        if hidden_size % n_heads:
            raise ValueError(f"n_heads {n_heads} does not divide hidden_size {hidden_size}")
        self.n_heads = n_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.attn_dropout = FastDropout(attn_dropout)
        self.dropout = FastDropout(dropout)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """States `x` (B, t, d) attend to `context` (B, c, d).

        `mask` is added to the scores: (t, c) or (B, t, c); None: nothing is masked.
        With `context` (B, t, c, d) and no mask, each state attends to its own c vectors.
        Returns (B, t, d).
        """
        own = context.dim() == 4
        out = self._read_own(x, context) if own else self._read(x, context, mask)
        return self.dropout(self.dense(out))

    def weights(self, x: Tensor, context: Tensor) -> Tensor:
        """Attention probabilities (B, h, c) of states `x` (B, d) on their `context` (B, c, d)."""
        (B, c, d), h = context.shape, self.n_heads
        e = d // h
        q = self.query(x).view(B, h, 1, e) * e**-0.5
        k = self.key_value(context).view(B, c, 2, h, e)[:, :, 0].permute(0, 2, 3, 1)
        return (q @ k).squeeze(2).softmax(dim=-1)  # (B, h, c)

    def _read(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        (B, t, d), c, h = x.shape, context.size(1), self.n_heads
        e = d // h
        q = self.query(x).view(B, t, h, e).transpose(1, 2).reshape(B * h, t, e)
        kv = self.key_value(context).view(B, c, 2, h, e).permute(2, 0, 3, 1, 4)
        k, v = kv.reshape(2, B * h, c, e).unbind(0)  # (B h, c, e)
        # On a CPU, at typical history lengths, this is twice as fast as the fused
        # scaled_dot_product_attention, which also lacks a fast path with dropout there.
        if mask is None:
            scores = torch.bmm(q * e**-0.5, k.transpose(1, 2))  # (B h, t, c)
        else:
            if mask.dim() == 3:
                mask = mask.repeat_interleave(h, dim=0)
            mask = mask.expand(B * h, t, c)
            scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=e**-0.5)
        weights = self.attn_dropout(scores.softmax(dim=-1))
        return torch.bmm(weights, v).view(B, h, t, e).transpose(1, 2).reshape(B, t, d)

    def _read_own(self, x: Tensor, context: Tensor) -> Tensor:
        (B, t, c, d), h = context.shape, self.n_heads
        e, N = d // h, B * t
        # Each vector is read by one state only, so W_k is applied to the query and W_v after the
        # sum: 2 products of d x d per state, not 2 c. b_k shifts all scores equally: no effect.
        W_k, W_v = self.key_value.weight.view(2, h, e, d).unbind(0)
        b_v = self.key_value.bias[d:].view(h, 1, e)
        context = context.reshape(N, c, d)
        q = self.query(x).view(N, h, e).transpose(0, 1) * e**-0.5  # (h, N, e)
        scores = torch.bmm(torch.bmm(q, W_k).transpose(0, 1), context.transpose(1, 2))  # (N, h, c)
        weights = self.attn_dropout(scores.softmax(dim=-1))
        read = torch.bmm(weights, context).transpose(0, 1)  # (h, N, d)
        # Weights after dropout do not sum to 1, so b_v is scaled by their sum.
        b_v = weights.sum(dim=-1).t().unsqueeze(-1) * b_v  # (h, N, e)
        out = torch.baddbmm(b_v, read, W_v.transpose(1, 2))  # (h, N, e)
        return out.transpose(0, 1).reshape(B, t, d)


class DualAttentionLayer(nn.Module):
    """One layer of intent deliberation and decision-making.

        H_cross = H + CrossAttn(Q = H, K = V = T_D)            (5)
        H_self  = H_cross + MaskedSelfAttn(H_cross)            (6)
        H       = LayerNorm(H_self + FFN(H_self))              (7)

    Dropout acts on attention probabilities and on the output of each sub-layer, as in RecBole's
    SASRec.

    Args:
        hidden_size: d.
        n_heads: a divisor of d, for both attentions.
        inner_size: width of the FFN; None: 4 d.
        dropout: on the outputs of the sub-layers, in [0, 1].
        attn_dropout: on attention probabilities, in [0, 1].
        cross_attn_dropout: `attn_dropout` for the cross-attention only; None: `attn_dropout`.
            There are only a few intents to attend to, so dropping half of them is a lot.
        norm: "paper", one LayerNorm per layer as printed in (7), or "sasrec", one after each
            sub-layer.
        use_cross: False drops (5), and `T_D` with it.
        activation: of the FFN.
        layer_norm_eps: epsilon of LayerNorm.

    Shapes: H (B, n, d); T_D (B, m, d), the same intents for all positions, or (B, n, m, d), where
    each position attends to its own m intents; returns (B, n, d).

    Raises:
        ValueError: `n_heads` does not divide `hidden_size`, or unknown `norm`.

    Source: IGR-SR, equations (5) to (7).
    """

    def __init__(
        self,
        hidden_size: int,
        n_heads: int,
        inner_size: int | None = None,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        cross_attn_dropout: float | None = None,
        norm: Literal["paper", "sasrec"] = "paper",
        use_cross: bool = True,
        activation: Callable[[Tensor], Tensor] = F.gelu,
        layer_norm_eps: float = 1e-12,
    ) -> None:
        super().__init__()
        if norm not in ("paper", "sasrec"):
            raise ValueError(f"norm must be 'paper' or 'sasrec', not {norm!r}")

        def inner_norm() -> nn.Module:
            if norm == "paper":
                return nn.Identity()
            return nn.LayerNorm(hidden_size, eps=layer_norm_eps)

        inner_size = inner_size or 4 * hidden_size
        self.cross_attention = None
        if use_cross:
            of_cross = attn_dropout if cross_attn_dropout is None else cross_attn_dropout
            self.cross_attention = Attention(hidden_size, n_heads, dropout, of_cross)
            self.cross_norm = inner_norm()
        self.self_attention = Attention(hidden_size, n_heads, dropout, attn_dropout)
        self.self_norm = inner_norm()
        self.dense_1 = nn.Linear(hidden_size, inner_size)
        self.dense_2 = nn.Linear(inner_size, hidden_size)
        self.activation = activation
        self.dropout = FastDropout(dropout)
        self.norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)

    def forward(
        self, H: Tensor, T_D: Tensor | None, mask: Tensor, last: Tensor | None = None
    ) -> Tensor:
        """Apply the layer to all positions or only to some.

        Args:
            H: (B, n, d).
            T_D: (B, m, d) or (B, n, m, d); ignored without cross-attention.
            mask: added to the scores of self-attention: (n, n), or (B, T, n) with `last`.
            last: (B, T) positions to compute. Keys and values still come from all positions, so
                the result equals the full output gathered at `last`.

        Returns:
            (B, n, d), or (B, T, d) with `last`.
        """
        if self.cross_attention is not None:
            H = self.cross_norm(H + self.cross_attention(H, T_D))  # (5)
        queries = H if last is None else gather_positions(H, last)
        H_self = self.self_norm(queries + self.self_attention(queries, H, mask))  # (6)
        ffn = self.dropout(self.dense_2(self.activation(self.dense_1(H_self))))
        return self.norm(H_self + ffn)  # (7)


class DualAttentionReasoner(nn.Module):
    """A stack of `DualAttentionLayer`s with a causal mask.

    Histories are right-padded. Positions do not attend to later ones, so real positions never
    attend to padding and no other mask is needed. States at padding are meaningless.

    Args:
        n_layers: L >= 1.
        others: keyword arguments of `DualAttentionLayer`.

    Source: IGR-SR, section 3.3.
    """

    def __init__(self, n_layers: int, hidden_size: int, n_heads: int, **layer_options) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DualAttentionLayer(hidden_size, n_heads, **layer_options) for _ in range(n_layers)
        )

    def intent_weights(self, H: Tensor, T_D: Tensor, last: Tensor) -> Tensor:
        """Attention weights of the last layer over the intents, averaged over heads.

        Args:
            H: (B, n, d), the input states H^(0).
            T_D: (B, m, d) or (B, n, m, d) intents.
            last: (B,) the requested position of each row.

        Returns:
            (B, m) probabilities; free of dropout noise only in eval mode.
        """
        mask = torch.full((H.size(1), H.size(1)), float("-inf"), device=H.device).triu_(1)
        *first, final = self.layers
        for layer in first:
            H = layer(H, T_D, mask)
        assert isinstance(final, DualAttentionLayer)
        assert final.cross_attention is not None
        row = torch.arange(len(H), device=H.device)
        context = T_D if T_D.dim() == 3 else T_D[row, last]
        return final.cross_attention.weights(H[row, last], context).mean(dim=1)

    def forward(self, H: Tensor, T_D: Tensor | None = None, last: Tensor | None = None) -> Tensor:
        """Compute H^(L) from H^(0).

        Args:
            H: (B, n, d), the input states H^(0).
            T_D: (B, m, d) or (B, n, m, d) intents; None where the layers have no cross-attention.
            last: (B,) or (B, T) positions to compute; None: all. The last layer then computes its
                queries, FFN and norm for these only, with the same result.

        Returns:
            (B, n, d); with `last`, (B, d) or (B, T, d) accordingly.
        """
        n = H.size(1)
        mask = torch.full((n, n), float("-inf"), dtype=H.dtype, device=H.device).triu_(1)
        *first, final = self.layers
        for layer in first:
            H = layer(H, T_D, mask)
        if last is None:
            return final(H, T_D, mask)
        index = last.unsqueeze(1) if last.dim() == 1 else last  # (B, T)
        # Row j of the causal mask covers what position j may attend to.
        out = final(H, T_D, mask[index], index)  # (B, T, d)
        return out.squeeze(1) if last.dim() == 1 else out


def gather_positions(H: Tensor, index: Tensor) -> Tensor:
    """States of H (B, n, d) at `index` (B, T) -> (B, T, d)."""
    return H.gather(1, index.unsqueeze(-1).expand(-1, -1, H.size(-1)))
