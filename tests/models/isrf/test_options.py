"""ISRF's properties: what is out of range is named."""

import pytest

from recbole_intent.models.isrf.options import (
    aligned_tasks,
    chooses_among_candidates,
    learns_users,
    names_users,
    numbers_users,
    uses_decoder_words,
)
from recbole_intent.utils.errors import UserError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": []}, r"tasks: an empty list is not a list, each one of sequential, direct"),
        ({"tasks": ["direct", "direct"]}, "tasks: 'direct' is given twice"),
        ({"tasks": ["review"]}, "tasks: 'review' is not one of sequential, direct"),
        ({"tasks": ["direct"]}, "lacks sequential.*task: next-item asks for; train"),
        ({"protocol": "clear"}, "protocol: 'clear' is not one of clean, published; did you mean"),
        ({"decode": "greedy"}, "decode: 'greedy' is not one of beam, exact"),
        ({"alignment": "cosine"}, "alignment: 'cosine' is not one of infonce, soft_target"),
        ({"refine_every": "step"}, "refine_every: 'step' is not one of batch, epoch"),
        ({"stop_on": "ndcg"}, "stop_on: 'ndcg' is not one of metric, loss"),
        ({"training_prompts": "some"}, "training_prompts: 'some' is not one of all, bare"),
        ({"sequential_whole_word": "row"}, "sequential_whole_word: 'row' is not one of graph, pos"),
        ({"adapter_activation": "relu"}, "adapter_activation: 'relu' is not one of none, gelu"),
        ({"similar_users_index": "hnsw"}, "similar_users_index: 'hnsw' is not one of exact, faiss"),
        ({"user_graph": "both"}, "user_graph: 'both' is not one of directed, symmetric"),
        ({"hide_edges": "no"}, "hide_edges: 'no' is not one of auto, none, targets, unseen"),
        ({"learn_users": "no"}, "learn_users: 'no' is not one of auto, True, False"),
        ({"sequential_user": 1.5}, "sequential_user: 1.5 is not one of auto, True, False"),
        ({"direct_loss": "all"}, "direct_loss: 'all' is not one of auto, candidates, tokens"),
        ({"decoder_whole_words": "no"}, "decoder_whole_words: 'no' is not one of auto, True, Fal"),
        ({"decay_epochs": -1}, "decay_epochs: -1 is not a whole number from 0"),
        ({"user_tokens": "id"}, "user_tokens: 'id' is not one of auto, digits, word"),
        ({"num_beams": 0}, "num_beams: 0 is not a whole number from 1"),
        ({"align_every": 1.5}, "align_every: 1.5 is not a whole number from 1"),
        ({"gcn_layers": -1}, "gcn_layers: -1 is not a whole number from 0"),
        ({"sigma": -0.5}, "sigma: -0.5 is not a number from 0"),
        ({"compile": True}, "compile: ISRF's prompts are of another length"),
        ({"align_temperature": 0}, "align_temperature: 0 is not a number above 0"),
    ],
)
def test_what_is_out_of_range_is_named(tiny, options, message):
    with pytest.raises(UserError, match=message):
        tiny("ISRF", **options)


def test_the_direct_task_alone_is_enough_where_it_is_asked(tiny):
    tiny("ISRF", tasks=["direct"], task="direct")
    tiny("ISRF", tasks=["sequential"], task="direct")


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
    with pytest.raises(UserError, match="user_tokens: word needs sequential_whole_word: graph"):
        tiny("ISRF", user_tokens="word", sequential_whole_word="position")


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
