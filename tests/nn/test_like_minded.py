"""The nearest users: as by sorting all, with ties by index, whatever the chunk."""

import logging
import sys

import numpy as np
import pytest

from recbole_intent.nn.like_minded import like_minded
from recbole_intent.utils.errors import UserError


def by_sorting(vectors: np.ndarray, k: int) -> np.ndarray:
    units = vectors.astype(np.float64)
    units /= np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
    scores = units @ units.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores.round(6), axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("chunk", [1, 7, 512])
def test_as_by_sorting_all_others(chunk):
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    found = like_minded(vectors, 5, chunk)
    np.testing.assert_array_equal(found, by_sorting(vectors, 5))
    assert found.dtype == np.int64
    assert not (found == np.arange(60)[:, None]).any()


@pytest.mark.parametrize("chunk", [1, 10, 512])
def test_equal_vectors_tie_exactly_and_come_by_index(chunk):
    kinds = np.random.default_rng(1).normal(size=(4, 33)).astype(np.float32)
    vectors = kinds[np.random.default_rng(2).integers(4, size=90)]
    np.testing.assert_array_equal(like_minded(vectors, 30, chunk), by_sorting(vectors, 30))
    one_hot = np.eye(6, dtype=np.float32)  # all as far from each other
    np.testing.assert_array_equal(like_minded(one_hot, 2, chunk)[2:], [[0, 1]] * 4)


def test_the_length_of_a_vector_tells_nothing():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 8)).astype(np.float32)
    longer = vectors * rng.integers(1, 5, size=(40, 1)).astype(np.float32)
    np.testing.assert_array_equal(like_minded(vectors, 4), like_minded(longer, 4))


def test_few_users_have_fewer_neighbours():
    assert like_minded(np.eye(3, dtype=np.float32), 100).shape == (3, 2)
    assert like_minded(np.ones((1, 3), dtype=np.float32), 100).shape == (1, 0)
    with pytest.raises(UserError, match="k: 0, chunk: 512: each must be at least 1"):
        like_minded(np.eye(3, dtype=np.float32), 0)


def test_the_index_finds_the_same_and_tells_its_recall(caplog):
    vectors = np.random.default_rng(4).normal(size=(300, 8)).astype(np.float32)
    with caplog.at_level(logging.INFO, logger="recbole_intent"):
        found = like_minded(vectors, 5, 64, index="faiss")
    np.testing.assert_array_equal(found, like_minded(vectors, 5))
    assert "recall@5 of the index: 1.0000" in caplog.text


def test_a_missing_faiss_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        UserError, match=r"similar_users_index: faiss is not .*\(extra ann\): pip install faiss"
    ):
        like_minded(np.eye(3, dtype=np.float32), 2, index="faiss")
