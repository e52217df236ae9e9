"""Beam search over a trie and exact scores, beside transformers' own forward and generate."""

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from recbole_intent.models.generative.trie import Trie
from recbole_intent.models.generative.trie_search import (
    beam_search,
    dense_scores,
    score_all,
    score_candidates,
)

VOCABULARY, N_USERS = 40, 3
ATOL = 2e-5


def make_t5(seed: int = 0, **options) -> T5ForConditionalGeneration:
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=4,
        d_ff=24,
        num_layers=2,
        num_heads=3,  # not d_model / d_kv: T5 keeps them apart
        relative_attention_num_buckets=4,  # so that the distances of a few tokens differ in bucket
        relative_attention_max_distance=6,
        decoder_start_token_id=0,
        **options,
    )
    return T5ForConditionalGeneration(config).eval()


@pytest.fixture(scope="module")
def t5() -> T5ForConditionalGeneration:
    return make_t5()


@pytest.fixture(scope="module")
def encoded() -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of an encoder (B, S, d), whatever they are, and what of them is padding."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0]])
    return torch.randn(N_USERS, 5, 16, generator=generator), mask


def random_sequences(n_items: int, depth: int, n_tokens: int, seed: int, even=False):
    """(N, T) different items, at most `n_items`, of up to `depth` tokens; item 0 is padding."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, 2 + n_tokens, (n_items, depth + 1), generator=generator)
    length = torch.randint(depth if even else 1, depth + 1, (n_items, 1), generator=generator)
    place = torch.arange(depth + 1)
    rows = tokens.masked_fill(place == length, 1).masked_fill(place > length, 0).unique(dim=0)
    rows = rows[torch.randperm(len(rows), generator=generator)]
    return torch.cat((torch.zeros_like(rows[:1]), rows))


SEQUENCES = {  # of tokens 2 .. 39
    "one token": torch.tensor([[token, 1] for token in range(2, 32)]),
    "one item": torch.tensor([[4, 5, 4, 1]]),
    "prefixes": torch.tensor([[3] * n + [1] + [0] * (5 - n) for n in range(1, 6)]),
    "digits": random_sequences(60, 3, 4, seed=0, even=True),
    "uneven": random_sequences(60, 4, 3, seed=1),
    "wide": random_sequences(50, 2, 30, seed=2),
    "deep": random_sequences(20, 7, 2, seed=3),
    "few": random_sequences(4, 3, 2, seed=4),
}
KINDS = tuple(SEQUENCES)


def forced(t5, encoder_hidden, encoder_mask, sequences) -> torch.Tensor:
    """(B, N) log-probabilities of all items by T5's own forward, one item after the other."""
    scores = torch.full((len(encoder_hidden), len(sequences)), float("-inf"))
    for item, row in enumerate(sequences):
        row = row[row != 0]
        if len(row):
            labels = row.repeat(len(encoder_hidden), 1)
            with torch.no_grad():
                logits = t5(
                    encoder_outputs=BaseModelOutput(encoder_hidden),
                    attention_mask=encoder_mask,
                    labels=labels,
                ).logits
            picked = logits.float().log_softmax(2).gather(2, labels.unsqueeze(2))
            scores[:, item] = picked.sum(dim=(1, 2))
    return scores


def is_sound(items, log_probs, sequences, num_beams) -> None:
    """No item that is none, none twice, the best first, -1 and -inf together at the end."""
    assert items.shape == log_probs.shape == (N_USERS, num_beams)
    assert (log_probs[:, :-1] >= log_probs[:, 1:]).all()
    assert torch.equal(items == -1, log_probs == float("-inf"))
    for row in items.tolist():
        written = [item for item in row if item >= 0]
        assert len(set(written)) == len(written)
        assert all(sequences[item].any() for item in written)


@pytest.mark.parametrize("kind", KINDS)
def test_exact_scores_are_those_of_the_plain_forward(t5, encoded, kind):
    sequences = SEQUENCES[kind]
    trie, expected = Trie(sequences), forced(t5, *encoded, sequences)
    torch.testing.assert_close(score_all(t5, *encoded, trie), expected, atol=ATOL, rtol=0)
    in_chunks = score_all(t5, *encoded, trie, chunk=7)
    torch.testing.assert_close(in_chunks, expected, atol=ATOL, rtol=0)
    generator = torch.Generator().manual_seed(3)
    candidates = torch.randint(0, len(sequences), (N_USERS, 20), generator=generator)
    scores = score_candidates(t5, *encoded, trie, candidates)
    torch.testing.assert_close(scores, expected.gather(1, candidates), atol=ATOL, rtol=0)


@pytest.mark.parametrize(
    "options", [{"feed_forward_proj": "gated-gelu"}, {"tie_word_embeddings": False}]
)
def test_of_every_kind_of_t5(encoded, options):
    t5, sequences = make_t5(**options), SEQUENCES["uneven"]
    t5.lm_head.weight.data.mul_(0.3)  # without T5's scaling, log-probabilities are large
    scores = score_all(t5, *encoded, Trie(sequences))
    torch.testing.assert_close(scores, forced(t5, *encoded, sequences), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extra", [0, 5])
def test_a_beam_as_wide_as_the_catalogue_is_exact(t5, encoded, kind, extra):
    sequences = SEQUENCES[kind]
    expected = forced(t5, *encoded, sequences)
    num_beams = int((expected[0] > float("-inf")).sum()) + extra
    items, log_probs = beam_search(t5, *encoded, Trie(sequences), num_beams)
    is_sound(items, log_probs, sequences, num_beams)
    dense = dense_scores(items, log_probs, len(sequences))
    torch.testing.assert_close(dense, expected, atol=ATOL, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_beams", [1, 2, 5, 20])
def test_a_beam_writes_only_items_none_twice_and_its_scores_are_exact(t5, encoded, kind, num_beams):
    sequences = SEQUENCES[kind]
    expected = forced(t5, *encoded, sequences)
    items, log_probs = beam_search(t5, *encoded, Trie(sequences), num_beams)
    is_sound(items, log_probs, sequences, num_beams)
    assert (items[:, 0] >= 0).all()
    exact = expected.gather(1, items.clamp(min=0)).masked_fill(items < 0, float("-inf"))
    torch.testing.assert_close(log_probs, exact, atol=ATOL, rtol=0)


def generated(t5, encoder_hidden, encoder_mask, sequences, num_beams, banned=None):
    """Items (B, K) and scores of transformers' own beam search."""
    items, allowed = [], []
    for user in range(len(encoder_hidden)):
        items.append({})
        allowed.append({})
        for item, row in enumerate(sequences.tolist()):
            row = (0, *(token for token in row if token != 0))
            if len(row) == 1 or (banned is not None and banned[user, item]):
                continue
            items[-1][row] = item
            for t in range(1, len(row)):
                allowed[-1].setdefault(row[:t], set()).add(row[t])

    def allowed_tokens(user, prefix):
        # What has ended, or is no item, goes on with a score of -1e9 or less.
        return sorted(allowed[user].get(tuple(prefix.tolist()), {0}))

    out = t5.generate(
        encoder_outputs=BaseModelOutput(encoder_hidden),
        attention_mask=encoder_mask,
        num_beams=num_beams,
        num_return_sequences=num_beams,
        max_new_tokens=sequences.size(1),
        length_penalty=0.0,
        early_stopping="never",
        do_sample=False,
        prefix_allowed_tokens_fn=allowed_tokens,
        output_scores=True,
        return_dict_in_generate=True,
    )
    found = torch.full((len(out.sequences),), -1)
    for place, row in enumerate(out.sequences.tolist()):
        row = tuple(row[: row.index(1) + 1]) if 1 in row else ()  # after an eos comes anything
        found[place] = items[place // num_beams].get(row, -1)
    found, scores = found.view(-1, num_beams), out.sequences_scores.view(-1, num_beams)
    is_none = (found < 0) | (scores < -1e8)  # where there are too few, it writes some item again
    return found.masked_fill(is_none, -1), scores.masked_fill(is_none, float("-inf"))


@pytest.mark.parametrize("kind", ["digits", "one token"])
@pytest.mark.parametrize("num_beams", [2, 5, 9])
@pytest.mark.parametrize("some_banned", [False, True])
def test_it_finds_what_transformers_finds_where_items_have_one_length(
    t5, encoded, kind, num_beams, some_banned
):
    sequences = SEQUENCES[kind]
    banned = None
    if some_banned:
        banned = (
            torch.rand(N_USERS, len(sequences), generator=torch.Generator().manual_seed(4)) < 0.5
        )
    items, log_probs = beam_search(t5, *encoded, Trie(sequences), num_beams, banned)
    theirs, scores = generated(t5, *encoded, sequences, num_beams, banned)
    assert torch.equal(items, theirs)
    torch.testing.assert_close(log_probs, scores, atol=ATOL, rtol=0)


@pytest.mark.parametrize("kind", ["uneven", "prefixes", "wide", "deep", "few"])
@pytest.mark.parametrize("num_beams", [2, 5])
def test_it_finds_no_worse_items_than_transformers_where_lengths_differ(
    t5, encoded, kind, num_beams
):
    sequences = SEQUENCES[kind]
    _, log_probs = beam_search(t5, *encoded, Trie(sequences), num_beams)
    _, scores = generated(t5, *encoded, sequences, num_beams)
    assert (log_probs >= scores - ATOL).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_beams", [1, 3, 70])
def test_banned_items_are_never_written_and_cost_no_beam(t5, encoded, kind, num_beams):
    """It is as if they were not in the trie."""
    sequences = SEQUENCES[kind]
    banned = torch.rand(N_USERS, len(sequences), generator=torch.Generator().manual_seed(5)) < 0.6
    banned[1] = True  # nothing is left
    items, log_probs = beam_search(t5, *encoded, Trie(sequences), num_beams, banned)
    is_sound(items, log_probs, sequences, num_beams)
    assert (items[1] == -1).all()
    assert not banned.gather(1, items.clamp(min=0))[items >= 0].any()
    for user in range(N_USERS):
        rest = sequences.masked_fill(banned[user].unsqueeze(1), 0)
        if rest.any():
            of_user = (each[user : user + 1] for each in encoded)
            alone, expected = beam_search(t5, *of_user, Trie(rest), num_beams)
            assert torch.equal(items[user], alone[0])
            torch.testing.assert_close(log_probs[user], expected[0], atol=ATOL, rtol=0)
    as_lists = [row.nonzero().squeeze(1) for row in banned]
    again, _ = beam_search(t5, *encoded, Trie(sequences), num_beams, as_lists)
    assert torch.equal(again, items)


def test_users_do_not_touch_each_other_whatever_their_number_at_a_time(t5, encoded, monkeypatch):
    sequences = SEQUENCES["uneven"]
    trie, candidates = Trie(sequences), torch.arange(3 * N_USERS).view(N_USERS, 3)
    together = (
        beam_search(t5, *encoded, trie, 4)[1],
        score_candidates(t5, *encoded, trie, candidates),
        score_all(t5, *encoded, trie),
    )
    for limit in ("_MAX_PLACES", "_MAX_WAYS", "_CPU_STRIP_BYTES"):
        monkeypatch.setattr(f"recbole_intent.models.generative.trie_search.{limit}", 1)
    one_by_one = (
        beam_search(t5, *encoded, trie, 4)[1],
        score_candidates(t5, *encoded, trie, candidates),
        score_all(t5, *encoded, trie),
    )
    torch.testing.assert_close(one_by_one, together, atol=ATOL, rtol=0)


def test_what_the_mask_hides_has_no_say(t5, encoded):
    hidden, mask = encoded
    noise = torch.where(mask.bool().unsqueeze(2), hidden, torch.randn(hidden.shape))
    trie = Trie(SEQUENCES["digits"])
    torch.testing.assert_close(score_all(t5, noise, mask, trie), score_all(t5, hidden, mask, trie))


def test_probabilities_of_all_items_do_not_exceed_one(t5, encoded):
    total = score_all(t5, *encoded, Trie(SEQUENCES["uneven"])).exp().sum(dim=1)
    assert ((total > 0) & (total < 1)).all()


@pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available())
def test_in_half_precision_and_on_every_device(t5, encoded, device):
    sequences = SEQUENCES["uneven"]
    expected = forced(t5, *encoded, sequences)
    there, encoded = make_t5().to(device), [each.to(device) for each in encoded]
    trie = Trie(sequences).to(device)
    candidates = torch.tensor([[1, 2, 3]] * N_USERS, device=device)
    n_items = len(sequences)

    def scores():
        found = dense_scores(*beam_search(there, *encoded, trie, n_items), n_items)
        return found, score_all(there, *encoded, trie)

    for found in scores():
        torch.testing.assert_close(found.cpu(), expected, atol=1e-4, rtol=0)
    with torch.autocast(device, dtype=torch.bfloat16):
        half = *scores(), score_candidates(there, *encoded, trie, candidates)
    for found in half[:2]:
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.cpu(), expected, atol=0.3, rtol=0)
    torch.testing.assert_close(half[2].cpu(), expected[:, 1:4], atol=0.3, rtol=0)


def test_scores_of_all_items_are_those_of_the_beams():
    items = torch.tensor([[2, 0, -1], [1, -1, -1], [-1, -1, -1]])
    log_probs = torch.tensor(
        [[-1.0, -2.0, -torch.inf], [-3.0, -torch.inf, -torch.inf], [-torch.inf] * 3]
    )
    expected = [[-2.0, -torch.inf, -1.0, -torch.inf], [-torch.inf, -3.0, -torch.inf, -torch.inf]]
    assert dense_scores(items, log_probs, 4).tolist() == [*expected, [-torch.inf] * 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_beams": 0}, "num_beams"),
        ({"banned": torch.zeros(N_USERS, 4, dtype=torch.bool)}, "banned must be bool"),
        ({"banned": torch.zeros(N_USERS, 30)}, "banned must be bool"),
        ({"banned": [torch.tensor([1])]}, "a tensor for each of 3 users"),
    ],
)
def test_what_does_not_fit_is_refused(t5, encoded, change, message):
    with pytest.raises(ValueError, match=message):
        beam_search(t5, *encoded, Trie(SEQUENCES["one token"]), **({"num_beams": 2} | change))


def test_a_t5_in_training_mode_is_refused(encoded):
    t5, trie = make_t5().train(), Trie(SEQUENCES["digits"])
    with pytest.raises(ValueError, match="training mode"):
        beam_search(t5, *encoded, trie, 2)
    with pytest.raises(ValueError, match="training mode"):
        score_all(t5, *encoded, trie)
