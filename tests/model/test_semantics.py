"""Which vectors of texts a run reads, and what it makes of them."""

import numpy as np
import pytest
import torch

from recbole_intent.data.like_minded import like_minded
from recbole_intent.data.split import load_data
from recbole_intent.data.text_vectors import pca, read_text_vectors
from recbole_intent.errors import UserError
from recbole_intent.model.semantics import (
    item_vectors,
    reduced,
    user_vector_file,
    users_alike,
    vector_files,
)

NO_ALIGNMENT = {"use_alignment_direct": False, "use_alignment_sequential": False}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["item_text.llm", "user_text.llm"]),
        ({"semantics": "metadata"}, ["item_text.metadata", "user_text.metadata"]),
        ({"user_semantics": "metadata"}, ["item_text.llm", "user_text.metadata"]),
        ({"semantics": "random", "user_semantics": "llm"}, ["user_text.llm"]),
        ({"semantics": "random", **NO_ALIGNMENT}, []),
        (NO_ALIGNMENT, ["item_text.llm"]),
    ],
    ids=str,
)
def test_a_run_reads_what_its_properties_name(tiny, options, names):
    found = [path.name for path in vector_files(tiny("ISRF", **options))]
    assert found == [f"tiny.{name}.fused.npz" for name in names]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"semantics": "words"}, "semantics: 'words' is none of llm, metadata, random"),
        ({"user_semantics": "words"}, "user_semantics: 'words' is none of"),
        ({"item_text": "best"}, "item_text: 'best' is none of fused, positive, negative"),
        ({"item_text": "negative"}, r"item_text.llm.negative.npz: no such file; .*enrich --for"),
        ({"semantics": "metadata", "user_text": "positive"}, "user_text: positive: only an LLM"),
        ({"semantics": "random"}, "user_semantics: there are no texts to find users alike by"),
    ],
)
def test_what_is_not_there_is_named_with_what_makes_it(tiny, options, message):
    with pytest.raises(UserError, match=message):
        vector_files(tiny("ISRF", **options))


def test_vectors_are_in_the_order_of_the_items(tiny):
    config = tiny("ISRF")
    data = load_data(config).train._dataset
    z = item_vectors(config, data)
    known = read_text_vectors(vector_files(config)[0])
    row = {name: number for number, name in enumerate(known.ids.tolist())}
    tokens = data.field2id_token["item_id"]
    assert not z[0].any()
    assert all(np.array_equal(z[v], known.vectors[row[tokens[v]]]) for v in range(1, 41))
    assert item_vectors(tiny("ISRF", semantics="random", **NO_ALIGNMENT), data) is None


def test_reduced_vectors_are_the_components_up_to_one_factor():
    z = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    x = reduced(z, 3).numpy()
    assert not x[0].any()
    assert x[1:].std() == pytest.approx(1, rel=1e-4)
    factor = x[1:] / pca(z[1:], 3)
    assert np.allclose(factor, factor[0, 0], rtol=1e-3)
    wide = reduced(z, 9).numpy()
    assert wide.shape == (30, 9)
    assert not wide[:, 6:].any()


def test_users_alike_are_the_nearest_by_number(tiny):
    config = tiny("ISRF", n_similar_users=4)
    data = load_data(config).train._dataset
    alike = users_alike(config, data)
    assert alike.shape == (61, 4)
    assert (alike[0] == -1).all()
    assert int(alike[1:].min()) >= 1
    known = read_text_vectors(user_vector_file(config))
    place = {name: n for n, name in enumerate(known.ids.tolist())}
    tokens = data.field2id_token["user_id"].tolist()
    nearest = like_minded(known.vectors, 4)
    for user in (1, 17, 60):
        names = {known.ids[other] for other in nearest[place[tokens[user]]]}
        assert {tokens[other] for other in alike[user].tolist()} == names
    assert not torch.any(alike == torch.arange(61)[:, None])
