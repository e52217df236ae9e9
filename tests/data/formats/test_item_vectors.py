"""Vectors of items from all kinds of file, and files that are none."""

import contextlib

import numpy as np
import pytest

from recbole_intent.data.formats.item_vectors import read_item_vectors
from recbole_intent.data.formats.text_vectors import TextVectors, write_text_vectors
from recbole_intent.utils.errors import UserError

IDS = np.array(["[PAD]", "b", "a", "7"], dtype=object)
TABLE = "item_id:token\tvector:float_seq\na\t1 2.5\n7\t-3 4e-1\nb\t0 1\nother\t9 9\n"


def test_all_kinds_of_file_give_the_datasets_order(write, tmp_path):
    np.savez(tmp_path / "v.npz", item=["a", "7", "b"], vector=[[1, 2.5], [-3, 0.4], [0, 1]])
    of_texts = TextVectors(
        np.array(["a", "7", "b"]),
        np.array([[1, 2.5], [-3, 0.4], [0, 1]]),
        semantics="metadata",
        encoder="",
        fingerprint="",
    )
    write_text_vectors(tmp_path / "t.npz", of_texts)
    expected = np.array([[0, 0], [0, 1], [1, 2.5], [-3, 0.4]], dtype=np.float32)
    for path in (tmp_path / "v.npz", tmp_path / "t.npz", write("v.item_vector", TABLE)):
        found = read_item_vectors(path, IDS)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_an_item_without_a_vector_has_zeros_and_is_counted(write, caplog):
    found = read_item_vectors(write("v.item_vector", TABLE.replace("7\t", "8\t")), IDS)
    np.testing.assert_array_equal(found[3], 0)
    assert "1 of 3 items have no vector" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.item_vector", "item_id:token\tother:float_seq\na\t1\n", "not a table of"),
        ("v.item_vector", TABLE.replace("4e-1", "x"), "not a table of"),
        ("v.item_vector", TABLE.replace("4e-1", "1 2"), "not a table of"),
        ("v.item_vector", TABLE.replace("4e-1", "nan"), "vector of item '7' is not finite"),
        ("v.item_vector", TABLE + "a\t1 1\n", "stands twice"),
        ("v.item_vector", "item_id:token\tvector:float_seq\nx\t1\n", "any item of this dataset"),
        ("v.item_vector", "item_id:token\tvector:float_seq\n", "not a table of"),
        ("v.npz", b"PK\x03\x04 half a file", r"not an \.npz"),
        ("v.npz", b"nothing of the kind", r"not an \.npz"),
    ],
)
def test_a_bad_file_is_named(write, name, content, message):
    with pytest.raises(UserError, match=rf"{name}: .*{message}"):
        read_item_vectors(write(name, content), IDS)


def test_arrays_that_do_not_fit_and_absent_files_are_named(tmp_path):
    np.savez(tmp_path / "v.npz", item=["a", "b"], vector=[[1.0]])
    with pytest.raises(UserError, match=r"v\.npz: needs N items"):
        read_item_vectors(tmp_path / "v.npz", IDS)
    np.savez(tmp_path / "w.npz", items=["a"], vector=[[1.0]])
    with pytest.raises(UserError, match=r"w\.npz: not an \.npz"):
        read_item_vectors(tmp_path / "w.npz", IDS)
    with pytest.raises(UserError, match="no such file of item vectors"):
        read_item_vectors(tmp_path / "x.npz", IDS)


def test_any_damaged_byte_of_an_archive_is_an_error_of_one_line(tmp_path):
    path = tmp_path / "v.npz"
    ids = np.array(["[PAD]", "a", "b", "c"])
    vectors = np.random.default_rng(1).random((3, 40))
    np.savez_compressed(path, item=ids[1:], vector=vectors)
    whole = path.read_bytes()
    for place in range(0, len(whole), 9):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            read_item_vectors(path, ids)
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "v.npy").rename(path)
    with pytest.raises(UserError, match=r"v\.npz: not an \.npz"):
        read_item_vectors(path, ids)
