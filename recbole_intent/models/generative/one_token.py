"""T5's first output logits, which are enough to score items that are single tokens."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration


def first_logits(
    t5: "T5ForConditionalGeneration",
    encoder_hidden: Tensor,
    encoder_mask: Tensor,
    start: Tensor | None = None,
    named: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Logits of the first token after the decoder's start token, equal to those of `t5`.

    Args:
        t5: a `T5ForConditionalGeneration` of N tokens and width d.
        encoder_hidden: (B, S, d) outputs of its encoder.
        encoder_mask: (B, S), 0 where the input is padding.
        start: (d,) or (B, d), added to the vector of the start token.
        named: tokens (n,) and vectors (n, d), added to the rows of the output matrix.

    Returns:
        (B, N).
    """
    begin = encoder_mask.new_full((1,), t5.config.decoder_start_token_id, dtype=torch.long)
    x = t5.get_input_embeddings()(begin)
    if start is not None:
        x = x + start
    x = x.expand(len(encoder_hidden), -1)[:, None]
    out = t5.decoder(
        inputs_embeds=x,
        encoder_hidden_states=encoder_hidden,
        encoder_attention_mask=encoder_mask,
        use_cache=False,
    )
    h = out[0][:, 0]
    if t5.config.scale_decoder_outputs:
        h = h * t5.model_dim**-0.5
    logits = t5.lm_head(h)
    if named is not None:
        tokens, vectors = named
        logits = logits.index_add(1, tokens, (h @ vectors.T).to(logits.dtype))
    return logits
