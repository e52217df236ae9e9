"""ISRF's properties: what is out of range is named."""

import pytest

from recbole_intent.errors import UserError
from recbole_intent.model.isrf_options import (
    aligned_tasks,
    check_options,
    chooses_among_candidates,
    learns_users,
    names_users,
    numbers_users,
    uses_decoder_words,
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": []}, r"tasks: \[\] must be a list of sequential and direct"),
        ({"tasks": ["direct", "direct"]}, "tasks: .* must be a list"),
        ({"tasks": ["review"]}, "tasks: .* must be a list"),
        ({"tasks": ["direct"]}, "lacks sequential.*task: next-item asks for; train"),
        ({"protocol": "clear"}, "protocol: 'clear' must be clean or published"),
        ({"decode": "greedy"}, "decode: 'greedy' must be beam or exact"),
        ({"alignment": "cosine"}, "alignment: 'cosine' must be infonce or soft_target"),
        ({"refine_every": "step"}, "refine_every: 'step' must be batch or epoch"),
        ({"stop_on": "ndcg"}, "stop_on: 'ndcg' must be metric or loss"),
        ({"training_prompts": "some"}, "training_prompts: 'some' must be all or bare"),
        ({"sequential_whole_word": "row"}, "sequential_whole_word: 'row' must be graph or pos"),
        ({"adapter_activation": "relu"}, "adapter_activation: 'relu' must be none or gelu"),
        ({"similar_users_index": "hnsw"}, "similar_users_index: 'hnsw' must be exact or faiss"),
        ({"user_graph": "both"}, "user_graph: 'both' must be directed or symmetric"),
        ({"hide_edges": "no"}, "hide_edges: 'no' must be auto, none, targets, unseen"),
        ({"learn_users": "no"}, "learn_users: 'no' must be auto, True or False"),
        ({"sequential_user": 1.5}, "sequential_user: 1.5 must be auto, True or False"),
        ({"direct_loss": "all"}, "direct_loss: 'all' must be auto, candidates, tokens"),
        ({"decoder_whole_words": "no"}, "decoder_whole_words: 'no' must be auto, True or False"),
        ({"decay_epochs": -1}, "decay_epochs: -1 must be a whole number from 0"),
        ({"user_tokens": "id"}, "user_tokens: 'id' must be auto, digits, word"),
        ({"num_beams": 0}, "num_beams: 0 must be a whole number from 1"),
        ({"align_every": 1.5}, "align_every: 1.5 must be a whole number from 1"),
        ({"gcn_layers": -1}, "gcn_layers: -1 must be a whole number from 0"),
        ({"sigma": -0.5}, "sigma: -0.5 must be at least 0"),
        ({"compile": True}, "compile: ISRF's prompts are of another length"),
        ({"align_temperature": 0}, "align_temperature: 0 must be positive"),
    ],
)
def test_what_is_out_of_range_is_named(tiny, options, message):
    with pytest.raises(UserError, match=message):
        check_options(tiny("ISRF", **options))


def test_the_direct_task_alone_is_enough_where_it_is_asked(tiny):
    check_options(tiny("ISRF", tasks=["direct"], task="direct"))
    check_options(tiny("ISRF", tasks=["sequential"], task="direct"))


@pytest.mark.parametrize(
    ("options", "one_token", "is_ours"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"protocol": "published"}, True, False),
        ({"protocol": "published", "decoder_whole_words": True, "direct_loss": "candidates"},
         True, True),
        ({"decoder_whole_words": False, "direct_loss": "tokens"}, True, False),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_ours_follows_the_protocol_unless_it_is_named(tiny, options, one_token, is_ours):
    config = tiny("ISRF", **options)
    assert uses_decoder_words(config, one_token) == is_ours
    assert chooses_among_candidates(config, one_token) == is_ours


@pytest.mark.parametrize(
    ("options", "by_number"),
    [
        ({}, False),
        ({"id_tokens": "digits"}, True),
        ({"protocol": "published"}, True),
        ({"sequential_whole_word": "position"}, True),
        ({"user_tokens": "digits"}, True),
        ({"user_tokens": "word", "id_tokens": "digits", "protocol": "published"}, False),
    ],
    ids=str,
)
def test_users_have_numbers_where_the_paper_is_followed_or_nothing_else_tells_them(
    tiny, options, by_number
):
    assert numbers_users(tiny("ISRF", **options)) == by_number


@pytest.mark.parametrize(
    ("asks", "key"), [(learns_users, "learn_users"), (names_users, "sequential_user")]
)
def test_users_are_learned_and_named_by_protocol_unless_it_is_said(tiny, asks, key):
    assert not asks(tiny("ISRF"))
    assert asks(tiny("ISRF", protocol="published"))
    assert asks(tiny("ISRF", **{key: True}))
    assert not asks(tiny("ISRF", **{key: False}, protocol="published"))


def test_users_told_by_nothing_are_refused(tiny):
    config = tiny("ISRF", user_tokens="word", sequential_whole_word="position")
    with pytest.raises(UserError, match="user_tokens: word needs sequential_whole_word: graph"):
        numbers_users(config)


@pytest.mark.parametrize(
    ("options", "tasks"),
    [
        ({}, ["sequential", "direct"]),
        ({"tasks": ["direct", "sequential"]}, ["direct", "sequential"]),
        ({"tasks": ["sequential"], "use_alignment_sequential": False}, []),
        ({"use_alignment_direct": False}, ["sequential"]),
        ({"align_weight": 0}, []),
    ],
    ids=str,
)
def test_tasks_that_align(tiny, options, tasks):
    assert aligned_tasks(tiny("ISRF", **options)) == tasks
