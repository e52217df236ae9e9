"""T5's decoder over trees: each place says what T5 says after that prefix alone."""

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from recbole_intent.models.generative.tree_decoder import TreeDecoder

# Two users' trees, level by level: tokens, and the place of the level before that they follow.
LEVELS = (
    ([[0], [0]], None),
    ([[5, 6, 7], [6, 6, 9]], [[0, 0, 0], [0, 0, 0]]),
    ([[8, 2], [3, 4]], [[2, 0], [1, 1]]),
    ([[4, 4, 9], [2, 3, 4]], [[1, 1, 0], [0, 1, 0]]),
)


@pytest.fixture(scope="module")
def t5() -> T5ForConditionalGeneration:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=12,
        d_model=16,
        d_kv=4,
        d_ff=24,
        num_layers=2,
        num_heads=3,
        relative_attention_num_buckets=4,
        relative_attention_max_distance=6,
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config).eval()


@pytest.fixture(scope="module")
def encoded() -> tuple[torch.Tensor, torch.Tensor]:
    hidden = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(1))
    return hidden, torch.tensor([[1, 1, 1, 1], [0, 1, 1, 0]])


def grow(decoder: TreeDecoder, levels=LEVELS) -> list[torch.Tensor]:
    """Logits (B, W, V) of each level."""
    found = []
    for tokens, parents in levels:
        parents = None if parents is None else torch.tensor(parents)
        found.append(decoder.t5.lm_head(decoder.step(torch.tensor(tokens), parents)))
    return found


def prefix(user: int, level: int, place: int) -> list[int]:
    """The tokens from the root to a place."""
    tokens, parents = LEVELS[level]
    before = [] if parents is None else prefix(user, level - 1, parents[user][place])
    return [*before, tokens[user][place]]


@torch.no_grad()
def test_each_place_says_what_t5_says_after_its_prefix(t5, encoded):
    hidden, mask = encoded
    found = grow(TreeDecoder(t5, hidden, mask, len(LEVELS)))
    for level, logits in enumerate(found):
        assert logits.shape[:2] == torch.tensor(LEVELS[level][0]).shape
        for user in range(2):
            for place in range(logits.size(1)):
                alone = t5(
                    encoder_outputs=BaseModelOutput(hidden[user : user + 1]),
                    attention_mask=mask[user : user + 1],
                    decoder_input_ids=torch.tensor([prefix(user, level, place)]),
                ).logits[0, -1]
                torch.testing.assert_close(logits[user, place], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_tree_that_all_users_share_is_given_once(t5, encoded):
    decoder = TreeDecoder(t5, *encoded, len(LEVELS))
    shared = [(tokens[:1], parents and parents[:1]) for tokens, parents in LEVELS]
    twice = [(tokens * 2, parents and parents * 2) for tokens, parents in shared]
    once = grow(decoder, shared)
    decoder.restart()
    torch.testing.assert_close(once, grow(decoder, twice), atol=1e-6, rtol=0)


@torch.no_grad()
def test_it_may_be_deeper_than_it_grows_and_starts_again_as_new(t5, encoded):
    decoder = TreeDecoder(t5, *encoded, len(LEVELS) + 5)
    first = grow(decoder)
    decoder.restart()
    torch.testing.assert_close(grow(decoder), first, rtol=0, atol=0)
    exact = grow(TreeDecoder(t5, *encoded, len(LEVELS)))
    torch.testing.assert_close(first, exact, rtol=0, atol=1e-6)


def test_dropout_is_refused(t5, encoded):
    t5.train()
    with pytest.raises(ValueError, match="training mode"):
        TreeDecoder(t5, *encoded, 3)
    t5.eval()
