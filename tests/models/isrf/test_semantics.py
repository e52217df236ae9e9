"""Which vectors of texts a run reads, and what it makes of them."""

import shutil

import numpy as np
import pytest
import torch

from recbole_intent.data.formats.text_vectors import pca, read_text_vectors
from recbole_intent.data.loading.split import load_data
from recbole_intent.models.isrf.semantics import (
    input_files,
    item_vectors,
    reduced,
    user_vector_file,
    users_alike,
)
from recbole_intent.nn.item_index import ItemIndex
from recbole_intent.nn.like_minded import like_minded
from recbole_intent.utils.errors import UserError

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
        ({"align_weight": 0}, ["item_text.llm"]),
        ({"tasks": ["sequential"], "use_alignment_sequential": False}, ["item_text.llm"]),
    ],
    ids=str,
)
def test_a_run_reads_what_its_properties_name(tiny, options, names):
    found = [path.name for path in input_files(tiny("ISRF", **options))]
    assert found == [f"tiny.{name}.fused.npz" for name in names]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"semantics": "words"}, "semantics: 'words' is not one of llm, metadata, random"),
        ({"user_semantics": "words"}, "user_semantics: 'words' is not one of"),
        ({"item_text": "best"}, "item_text: 'best' is not one of fused, positive, negative"),
        ({"item_text": "negative"}, r"item_text.llm.negative.npz: no such file; .*enrich --for"),
        ({"semantics": "metadata", "user_text": "positive"}, "user_text: positive: only an LLM"),
        ({"semantics": "random"}, "user_semantics: there are no texts to find users alike by"),
    ],
)
def test_what_is_not_there_is_named_with_what_makes_it(tiny, options, message):
    with pytest.raises(UserError, match=message):
        input_files(tiny("ISRF", **options))


def test_vectors_are_in_the_order_of_the_items(tiny):
    config = tiny("ISRF")
    data = load_data(config).train._dataset
    z = item_vectors(config, data)
    known = read_text_vectors(input_files(config)[0])
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


def test_without_vectors_the_way_that_asks_no_language_model_is_told_first(
    tiny, tiny_path, tmp_path
):
    def told(**options) -> str:
        with pytest.raises(UserError) as error:
            input_files(tiny("ISRF", **options))
        return str(error.value).partition("no such file; ")[2]

    folder = shutil.copytree(tiny_path / "tiny", tmp_path / "tiny")
    (folder / "tiny.item_text.llm.fused.npz").unlink()
    data = {"data_path": str(tmp_path)}
    assert told(**data).startswith(
        "--semantics=metadata, which is there already, needs no language"
    )
    assert input_files(tiny("ISRF", **data, semantics="metadata"))
    assert told(**data, item_text="positive").startswith("`recbole_intent enrich")
    (folder / "tiny.item_text.metadata.fused.npz").unlink()
    make = "`recbole_intent enrich --for=ISRF --dataset=tiny --semantics="
    there = f" --data_path={tmp_path}`"
    assert told(**data).startswith(
        f"--semantics=metadata, after {make}metadata{there}, needs no language"
    )
    assert f"{make}llm --llm.model=MODEL{there} makes it" in told(**data)
    assert told(**data, semantics="metadata").startswith(f"{make}metadata{there} makes it")
    (folder / "tiny.user_text.llm.fused.npz").unlink()
    found = told(**data, semantics="random", user_semantics="llm")
    assert found.startswith("--user_semantics=metadata, which is there already")
    without = {"semantics": "random", "align_weight": 0}
    assert "--semantics=random with --align_weight=0" in found
    assert input_files(tiny("ISRF", **data, **without)) == []


def test_texts_may_lie_in_a_folder_of_their_own(tiny, tiny_path, tmp_path):
    given = {"texts_folder": str(tmp_path)}
    with pytest.raises(UserError, match=rf"enrich .* --output={tmp_path} --semantics=llm"):
        input_files(tiny("ISRF", **given))
    for path in input_files(tiny("ISRF")):
        shutil.copy(path, tmp_path)
    found = input_files(tiny("ISRF", **given))
    assert {path.parent for path in found} == {tmp_path}
    config = tiny("ISRF", **given)
    data = load_data(config).train._dataset
    assert np.array_equal(item_vectors(config, data), item_vectors(tiny("ISRF"), data))


def test_users_alike_by_the_index_are_the_same_and_no_padding(tiny):
    config = tiny("ISRF", n_similar_users=4)
    data = load_data(config).train._dataset
    by_index = users_alike(tiny("ISRF", n_similar_users=4, similar_users_index="faiss"), data)
    exact = users_alike(config, data)
    # Users as near on either side may come in another order.
    assert torch.equal(by_index.sort(dim=1).values, exact.sort(dim=1).values)


def test_a_user_of_whom_the_index_finds_too_few_is_not_alike_to_padding(tiny, monkeypatch):
    """Cells that a search visits may hold fewer than are asked for."""
    config = tiny("ISRF", n_similar_users=4, similar_users_index="faiss")
    data = load_data(config).train._dataset
    plain = ItemIndex.search

    def short(*args):
        scores, items = plain(*args)
        items[:, -1] = 0
        return scores, items

    monkeypatch.setattr(ItemIndex, "search", short)
    alike = users_alike(config, data)
    assert (alike[1:, -1] == -1).all()
    assert int(alike[1:, :-1].min()) >= 1
