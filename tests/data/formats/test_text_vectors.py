"""Text vectors as a file and in a dataset's order; and what PCA keeps."""

import numpy as np
import pytest

from recbole_intent.data.formats.text_vectors import (
    TextVectors,
    pca,
    read_text_vectors,
    vector_path,
    vectors_for,
    write_text_vectors,
)
from recbole_intent.utils.errors import UserError

IDS = np.array(["b", "a", "ü 7"])
VECTORS = TextVectors(IDS, np.eye(3, 4, dtype=np.float32), "metadata", "encoder", "12ab")


def test_what_is_written_is_read(tmp_path):
    path = vector_path(tmp_path, "d", "item", "llm", "fused")
    assert path == tmp_path / "d.item_text.llm.fused.npz"
    write_text_vectors(path, VECTORS)
    found = read_text_vectors(path)
    assert found.ids.tolist() == IDS.tolist()
    assert (found.semantics, found.encoder, found.fingerprint) == ("metadata", "encoder", "12ab")
    np.testing.assert_array_equal(found.vectors, VECTORS.vectors)
    assert found.vectors.dtype == np.float32
    assert list(tmp_path.iterdir()) == [path]


def test_vectors_follow_the_datasets_ids():
    found = vectors_for(VECTORS, np.array(["[PAD]", "a", "ü 7"], dtype=object))
    np.testing.assert_array_equal(found, [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    assert found.dtype == np.float32
    with pytest.raises(UserError, match="2 of 3 ids have no text vector, such as 'x'"):
        vectors_for(VECTORS, ["[PAD]", "x", "a", "y"])


@pytest.mark.parametrize("content", [b"nothing", b"PK\x03\x04 half", None])
def test_bad_files_are_named(tmp_path, content):
    path = tmp_path / "v.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"v\.npz: (not a|no such) file of text vectors"):
        read_text_vectors(path)


@pytest.mark.parametrize(
    "vectors", [np.zeros((2, 4), np.float32), np.zeros((3, 4)), np.zeros(3, np.float32)]
)
def test_numbers_that_do_not_fit_the_ids_are_refused(tmp_path, vectors):
    about = {"semantics": "llm", "encoder": "e", "fingerprint": "f"}
    np.savez(tmp_path / "v.npz", ids=IDS, vectors=vectors, **about)
    with pytest.raises(UserError, match=r"needs N ids and \(N, D\) float32"):
        read_text_vectors(tmp_path / "v.npz")


def test_pca_keeps_the_most_variance_and_all_distances_at_full_size():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(50, 6)) * [5, 3, 1, 1, 0.1, 0.1] + 7).astype(np.float32)
    full, few = pca(vectors, 6), pca(vectors, 2)
    np.testing.assert_allclose(full[:, :2], few, atol=1e-5)
    spread = full.std(axis=0)
    assert (np.diff(spread) <= 0).all()
    np.testing.assert_allclose(full.mean(axis=0), 0, atol=1e-5)
    apart = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.testing.assert_allclose(np.linalg.norm(full[:, None] - full, axis=2), apart, atol=1e-4)
    reference = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.linalg.norm(full, axis=0), reference.S, rtol=1e-4)


def test_pca_has_one_sign_whatever_the_order_of_rows():
    vectors = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    order = np.random.default_rng(2).permutation(40)
    np.testing.assert_allclose(pca(vectors[order], 3), pca(vectors, 3)[order], atol=1e-5)


@pytest.mark.parametrize("size", [0, 5, 41])
def test_pca_names_what_there_is(size):
    with pytest.raises(UserError, match=rf"PCA to {size}: 40 vectors of 4 numbers have 1 to 4"):
        pca(np.zeros((40, 4), np.float32), size)


def test_vectors_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "v.npz"
    vectors = np.array([[1, 0], [np.nan, 1]], dtype=np.float32)
    write_text_vectors(path, TextVectors(np.array(["a", "b"]), vectors, "llm", "e", "0" * 64))
    with pytest.raises(UserError, match="a vector is not finite"):
        read_text_vectors(path)
