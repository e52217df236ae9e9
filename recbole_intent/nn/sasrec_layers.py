"""Faster execution of RecBole's Transformer layers with the same weights.

RecBole's `TransformerLayer` makes three projections where one suffices, computes GELU in five
steps, draws dropout masks element by element, and computes all positions of the last layer where
a next-item row needs only one. These functions take its modules unchanged and give the same output.
"""

from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.layers import FeedForward, TransformerEncoder, TransformerLayer
from torch import Tensor, nn

from recbole_intent.nn.dropout import FastDropout


def use_fast_dropout(module: nn.Module) -> None:
    """Replace every `nn.Dropout` below `module` by a `FastDropout` of the same probability."""
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, FastDropout(child.p))
        else:
            use_fast_dropout(child)


def transformer_encoder(config: Any, n_layers: str = "n_layers") -> TransformerEncoder:
    """RecBole's encoder with the widths and dropouts of a configuration, and fast dropout.

    Args:
        config: of a run, with RecBole's keys of Transformers.
        n_layers: the key of the number of layers.
    """
    encoder = TransformerEncoder(
        n_layers=config[n_layers],
        n_heads=config["n_heads"],
        hidden_size=config["hidden_size"],
        inner_size=config["inner_size"],
        hidden_dropout_prob=config["hidden_dropout_prob"],
        attn_dropout_prob=config["attn_dropout_prob"],
        hidden_act=config["hidden_act"],
        layer_norm_eps=config["layer_norm_eps"],
    )
    use_fast_dropout(encoder)
    return encoder


def project(layer: TransformerLayer, x: Tensor, *, query: bool = True) -> tuple[Tensor, ...]:
    """Queries, keys and values of a layer: x (..., t, d) -> each (..., h, t, e).

    Without `query`, only keys and values. Queries are scaled by 1 / sqrt(e).
    """
    attention = layer.multi_head_attention
    linears = [attention.key, attention.value]
    if query:
        linears = [attention.query, *linears]
    # One product instead of two or three: the weights are small compared with the states.
    weight = torch.cat([linear.weight for linear in linears])
    bias = torch.cat([linear.bias for linear in linears])
    out = F.linear(x, weight, bias)
    out = out.unflatten(-1, (len(linears), attention.num_attention_heads, -1))  # (..., t, 3, h, e)
    q_k_v = [part.transpose(-2, -3) for part in out.unbind(-3)]
    if query:
        q_k_v[0] = q_k_v[0] * q_k_v[0].size(-1) ** -0.5
    return tuple(q_k_v)


def finish(layer: TransformerLayer, x: Tensor, context: Tensor) -> Tensor:
    """Apply the rest of a layer after attention: x (..., t, d), context (..., h, t, e) -> as x."""
    return finish_ffn(layer, finish_attention(layer, x, context))


def finish_attention(layer: TransformerLayer, x: Tensor, context: Tensor) -> Tensor:
    """Apply the rest of the attention sub-layer; shapes as in `finish`."""
    attention = layer.multi_head_attention
    out = attention.out_dropout(attention.dense(context.transpose(-2, -3).flatten(-2)))
    return attention.LayerNorm(out + x)


def finish_ffn(layer: TransformerLayer, x: Tensor) -> Tensor:
    """Apply the FFN sub-layer to x (..., t, d)."""
    ffn = layer.feed_forward
    inner = _activation(ffn)(ffn.dense_1(x))
    return ffn.LayerNorm(ffn.dropout(ffn.dense_2(inner)) + x)


def _activation(ffn: FeedForward):
    # RecBole computes this GELU in five steps; the built-in one gives the same values.
    return F.gelu if ffn.intermediate_act_fn == ffn.gelu else ffn.intermediate_act_fn


def encode_causal(
    encoder: TransformerEncoder,
    x: Tensor,
    last: Tensor | None = None,
    memory: list[tuple[Tensor, Tensor]] | None = None,
) -> Tensor:
    """Apply all layers to right-padded histories with a causal mask.

    Positions do not attend to later ones, so real positions never attend to padding and no other
    mask is needed. States at padding are meaningless.

    Args:
        encoder: RecBole's encoder; its dropout modules may be of any kind.
        x: (B, n, d) input vectors.
        last: (B,) positions to compute; None: all. The last layer then computes its queries, FFN
            and norm for these only, with the same result.
        memory: an empty list that receives the keys and values (B, h, n, e) of each layer, for
            `encode_next`.

    Returns:
        (B, n, d), or (B, d) with `last`.
    """
    n = x.size(1)
    mask = torch.full((n, n), float("-inf"), dtype=x.dtype, device=x.device).triu_(1)
    mask_of_last = mask if last is None else mask[last][:, None, None]
    return _encode(encoder, x, mask, last, mask_of_last, memory)


def encode_next(
    encoder: TransformerEncoder, x: Tensor, memory: list[tuple[Tensor, Tensor]], mask: Tensor
) -> Tensor:
    """Apply all layers to one more position, with the keys and values of the earlier ones.

    Args:
        encoder: as in `encode_causal`.
        x: (B, d) input vectors of the new position.
        memory: keys and values (B, h, m, e) of each layer; those of the new position are added.
        mask: (B, 1, 1, m + 1), added to attention logits: -inf at positions to leave out.

    Returns:
        (B, d), the state of the new position.
    """
    x = x.unsqueeze(1)
    for i, layer in enumerate(encoder.layer):
        q, k, v = project(layer, x)
        k, v = (torch.cat([old, new], dim=-2) for old, new in zip(memory[i], (k, v), strict=True))
        memory[i] = k, v
        x = finish(layer, x, attend(layer, q, k, v, mask))
    return x.squeeze(1)


def encode_both_ways(
    encoder: TransformerEncoder, x: Tensor, is_real: Tensor, last: Tensor | None = None
) -> Tensor:
    """Apply all layers with attention to all real positions; states at padding are meaningless.

    Args:
        encoder, x, last: as in `encode_causal`.
        is_real: (B, n) bool, False at padding; each row has at least one real position.

    Returns:
        (B, n, d), or (B, d) with `last`.
    """
    mask = torch.zeros(is_real.shape, dtype=x.dtype, device=x.device)
    mask = mask.masked_fill_(~is_real, float("-inf"))[:, None, None]  # (B, 1, 1, n)
    return _encode(encoder, x, mask, last, mask)


def _encode(
    encoder: TransformerEncoder,
    x: Tensor,
    mask: Tensor,
    last: Tensor | None,
    mask_of_last: Tensor,
    memory: list[tuple[Tensor, Tensor]] | None = None,
) -> Tensor:
    *first, final = encoder.layer
    for layer in encoder.layer if last is None else first:
        q, k, v = project(layer, x)
        if memory is not None:
            memory.append((k, v))
        x = finish(layer, x, attend(layer, q, k, v, mask))
    if last is None:
        return x
    own = x[torch.arange(len(x), device=x.device), last].unsqueeze(1)  # (B, 1, d)
    attention = final.multi_head_attention
    q = attention.query(own).unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
    k, v = project(final, x, query=False)
    if memory is not None:
        memory.append((k, v))
    context = attend(final, q * q.size(-1) ** -0.5, k, v, mask_of_last)
    return finish(final, own, context).squeeze(1)


def attend(layer: TransformerLayer, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Weighted values (..., h, t, e); `mask` is added to the logits (..., h, t, t')."""
    weights = (q @ k.transpose(-1, -2) + mask).softmax(dim=-1)
    return layer.multi_head_attention.attn_dropout(weights) @ v
