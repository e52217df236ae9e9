"""T5's decoder over trees of tokens, which computes each shared prefix of a user once."""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration


class TreeDecoder:
    """Grows one tree of tokens per user, one level at a time.

    All prefixes of a user are nodes of one sequence, and a mask lets each node attend only to its
    own ancestors. So the encoder's keys and values are computed once per user regardless of the
    number of prefixes, a shared prefix is computed once, and the cache is never copied when
    prefixes are dropped or branch.

    It uses the modules of a transformers T5 and computes the same outputs, without dropout.

    Args:
        t5: a `T5ForConditionalGeneration`, in eval mode.
        encoder_hidden: (B, S, d) outputs of its encoder.
        encoder_mask: (B, S), 0 where the input is padding; each row has at least one non-zero.
        max_depth: maximum number of levels of the tree, >= 1.

    Raises:
        ValueError: `t5` is in training mode, whose dropout is not implemented here.
    """

    def __init__(
        self,
        t5: "T5ForConditionalGeneration",
        encoder_hidden: Tensor,
        encoder_mask: Tensor,
        max_depth: int,
    ) -> None:
        if t5.training:
            raise ValueError("t5 is in training mode: call eval() before decoding")
        self.t5 = t5
        self.n_users = len(encoder_hidden)
        self.encoder_mask = encoder_mask.bool()[:, None, None]  # (B, 1, 1, S)
        cross = [block.layer[1].EncDecAttention for block in _blocks(t5)]
        self.cross = [
            (_heads(each, each.k, encoder_hidden), _heads(each, each.v, encoder_hidden))
            for each in cross
        ]
        attention = _blocks(t5)[0].layer[0].SelfAttention
        # The last of max_depth positions has distances max_depth - 1 .. 0.
        bias = attention.compute_bias(max_depth, max_depth)  # (1, h, max_depth, max_depth)
        self.bias_by_distance = bias[0, :, -1].flip(1)  # (h, max_depth)
        self.restart()

    def restart(self) -> None:
        """Discard the trees and keep the users' encoder keys and values."""
        self.depth = 0
        self.place_depth = self.encoder_mask.new_empty(0, dtype=torch.long)  # (P,)
        # (B or 1, W, P): the ancestors of the last level
        self.sees = self.encoder_mask.new_empty(1, 0, 0)
        self.past: list[tuple[Tensor, Tensor] | None] = [None] * len(self.cross)

    def step(self, tokens: Tensor, parents: Tensor | None = None) -> Tensor:
        """Add a level of W nodes to each tree.

        Args:
            tokens: (B, W) int64, or (1, W) if all users have the same tree.
            parents: (B, W) or (1, W) int64, the parent of each token as an index into the previous
                level. None at the root.

        Returns:
            (B, W, d) decoder outputs, ready for `t5.lm_head`.
        """
        bias = self._bias(tokens, parents)
        hidden = self.t5.decoder.embed_tokens(tokens).expand(self.n_users, -1, -1)  # (B, W, d)
        for index, block in enumerate(_blocks(self.t5)):
            layer = block.layer[0]
            attention, x = layer.SelfAttention, layer.layer_norm(hidden)
            keys, values = _heads(attention, attention.k, x), _heads(attention, attention.v, x)
            past = self.past[index]
            if past is not None:
                keys = torch.cat((past[0], keys), dim=2)  # (B, h, P, d_k)
                values = torch.cat((past[1], values), dim=2)
            self.past[index] = keys, values
            hidden = hidden + _attend(attention, x, keys, values, bias)

            layer = block.layer[1]
            keys, values = self.cross[index]
            x = layer.layer_norm(hidden)
            hidden = hidden + _attend(layer.EncDecAttention, x, keys, values, self.encoder_mask)

            hidden = block.layer[-1](hidden)
        hidden = self.t5.decoder.final_layer_norm(hidden)
        scaled = self.t5.config.scale_decoder_outputs
        return hidden * self.t5.config.d_model**-0.5 if scaled else hidden

    def _bias(self, tokens: Tensor, parents: Tensor | None) -> Tensor:
        """T5's relative position bias (B or 1, h, W, P), -inf for nodes that are not ancestors."""
        width = tokens.size(1)
        itself = torch.eye(width, dtype=torch.bool, device=tokens.device)
        itself = itself.expand(len(tokens), -1, -1)
        if parents is not None:
            before = self.sees.expand(len(tokens), -1, -1)
            index = parents.unsqueeze(2).expand(-1, -1, before.size(2))
            itself = torch.cat((before.gather(1, index), itself), dim=2)
        self.sees = itself
        self.place_depth = F.pad(self.place_depth, (0, width), value=self.depth)
        bias = self.bias_by_distance[:, self.depth - self.place_depth]  # (h, P)
        self.depth += 1
        return bias[:, None].masked_fill(~self.sees.unsqueeze(1), float("-inf"))


def _blocks(t5: "T5ForConditionalGeneration") -> list[Any]:
    """The decoder's `T5Block`s; torch knows the elements of a `ModuleList` only as modules."""
    return [*t5.decoder.block]


def _heads(attention, linear, x: Tensor) -> Tensor:
    """`linear` of x (B, n, d), split by head: (B, h, n, d_k)."""
    return linear(x).unflatten(2, (attention.n_heads, -1)).transpose(1, 2)


def _attend(attention, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attention of x (B, W, d) to keys and values (B, h, n, d_k); T5 does not scale the scores."""
    query = _heads(attention, attention.q, x)
    if mask.dtype != torch.bool:
        mask = mask.to(query.dtype)
    out = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=1.0)
    return attention.o(out.transpose(1, 2).flatten(2))
