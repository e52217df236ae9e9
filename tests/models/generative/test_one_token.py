"""The first token's logits: transformers' own, and with whole words the formula."""

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from recbole_intent.models.generative.one_token import first_logits


@pytest.fixture(params=[True, False], ids=["scaled", "unscaled"])
def read(request):
    torch.manual_seed(3)
    sizes = T5Config(vocab_size=30, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2,
                     decoder_start_token_id=0)  # fmt: skip
    sizes.scale_decoder_outputs = request.param
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[2, 4:] = False
    return T5ForConditionalGeneration(sizes).eval(), torch.randn(5, 7, 8), mask


def test_they_are_those_of_transformers(read):
    t5, hidden, mask = read
    start = torch.zeros(5, 1, dtype=torch.long)
    wanted = t5(encoder_outputs=(hidden,), attention_mask=mask, decoder_input_ids=start)
    torch.testing.assert_close(first_logits(t5, hidden, mask), wanted.logits[:, 0])


def test_whole_words_are_added_to_the_start_and_to_the_output_vectors(read):
    t5, hidden, mask = read
    user, tokens, words = torch.randn(5, 8), torch.tensor([4, 9, 29]), torch.randn(3, 8)
    found = first_logits(t5, hidden, mask, user, (tokens, words))
    out = t5(
        encoder_outputs=(hidden,),
        attention_mask=mask,
        decoder_inputs_embeds=(t5.shared.weight[0] + user)[:, None],
        output_hidden_states=True,
    )
    h = out.decoder_hidden_states[-1][:, 0]
    if t5.config.scale_decoder_outputs:
        h = h / 8**0.5
    table = t5.lm_head.weight.clone()
    table[tokens] += words
    torch.testing.assert_close(found, h @ table.T)
    # One vector for all rows is that vector in each.
    torch.testing.assert_close(
        first_logits(t5, hidden, mask, user[1]),
        first_logits(t5, hidden, mask, user[1].expand(5, -1)),
    )
