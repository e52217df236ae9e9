"""Vectors in the order of ids, each text once; a killed process loses a chunk at most."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from recbole_intent.data.formats.text_vectors import read_text_vectors
from recbole_intent.data.loading.training_interactions import Split
from recbole_intent.enrich.vectors.encoding import encode_texts
from recbole_intent.enrich.vectors.text_encoder import TextEncoder
from recbole_intent.utils.errors import UserError

SPLIT = Split({"eval_args": {}}, "0" * 64)
TEXTS = {f"i{n}": f"{'lamp chair rug vase'.split()[n % 4]} {n % 150} " * 3 for n in range(160)}


class Letters:
    """Counts letters; remembers what it was asked for."""

    name = "letters"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        counts = [[text.count(letter) + 1 for letter in "abcdefgh"] for text in texts]
        found = np.array(counts, dtype=np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def encode(path, encoder, texts=TEXTS, chunk=16):
    return encode_texts(texts, encoder, path, semantics="metadata", chunk=chunk, split=SPLIT)


def test_each_text_once_by_length_in_the_order_of_the_ids(tmp_path):
    letters, path = Letters(), tmp_path / "v.npz"
    assert encode(path, letters)
    assert len(letters.asked) == len(set(TEXTS.values()))
    assert list(map(len, letters.asked)) == sorted(map(len, letters.asked))
    found = read_text_vectors(path)
    assert found.ids.tolist() == list(TEXTS)
    assert (found.semantics, found.encoder) == ("metadata", "letters")
    np.testing.assert_array_equal(found.vectors, Letters().encode(list(TEXTS.values())))
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_again_does_nothing_and_a_change_all(tmp_path):
    path = tmp_path / "v.npz"
    encode(path, Letters())
    again, other = Letters(), Letters()
    assert not encode(path, again)
    assert again.asked == []
    assert Split.of_text(read_text_vectors(path).split) == SPLIT
    elsewhere = Split({"eval_args": {}}, "1" * 64)
    options = {"semantics": "metadata", "chunk": 16}
    assert not encode_texts(TEXTS, again, path, split=elsewhere, **options)
    assert again.asked == []  # the same texts of another split: the file says so
    assert Split.of_text(read_text_vectors(path).split) == elsewhere
    assert encode(path, other, {**TEXTS, "i0": "another lamp"})
    assert other.asked
    other.name = "other letters"
    assert encode(path, other)
    path.write_bytes(b"half")
    assert encode(path, Letters())  # damaged: made anew
    assert read_text_vectors(path).encoder == "letters"


class Stopped(Exception):
    """In the middle of the work."""


@pytest.mark.parametrize("tail", [b"", b"half of a row", np.zeros(8, np.float32).tobytes()])
def test_whole_chunks_that_wait_are_not_made_again(tmp_path, tail):
    path = tmp_path / "v.npz"
    encode(tmp_path / "whole.npz", whole := Letters())

    class Failing(Letters):
        def encode(self, texts):
            if len(self.asked) >= 48:
                raise Stopped
            return super().encode(texts)

    with pytest.raises(Stopped):
        encode(path, Failing())
    assert not path.exists()
    waiting = tmp_path / ".v.npz.partial"
    with waiting.open("ab") as file:  # as a power cut may leave it
        file.write(tail)
    rest = Letters()
    encode(path, rest)
    assert rest.asked == whole.asked[48:]
    assert path.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not waiting.exists()


@pytest.mark.parametrize("start", [b'{"finger', b""])
def test_what_waits_of_other_texts_or_in_half_a_line_goes(tmp_path, start):
    path, letters = tmp_path / "v.npz", Letters()
    head = json.dumps({"fingerprint": "other", "chunk": 16, "size": 8}).encode() + b"\n"
    rows = np.ones((16, 8), np.float32) / np.sqrt(8, dtype=np.float32)
    (tmp_path / ".v.npz.partial").write_bytes(start or head + rows.tobytes())
    encode(path, letters)
    assert len(letters.asked) == len(set(TEXTS.values()))


def test_an_encoder_that_cannot_be_read_leaves_nothing(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match="no model of sentence-transformers"):
        encode(tmp_path / "v.npz", TextEncoder(str(tmp_path / "model")))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match=r"v\.npz\.partial: cannot be written: No such file"):
        encode(tmp_path / "none" / "v.npz", Letters())


CODE = """
import json, sys
from pathlib import Path
from recbole_intent.data.loading.training_interactions import Split
from recbole_intent.data.loading.training_interactions import Split
from recbole_intent.enrich.vectors.encoding import encode_texts
from recbole_intent.enrich.vectors.text_encoder import TextEncoder
texts = json.loads(Path(sys.argv[1]).read_text())
encode_texts(
    texts, TextEncoder(), Path(sys.argv[2]), semantics="metadata", chunk=4, split=Split({}, "0")
)
"""


def test_a_killed_process_loses_the_chunk_under_way_at_most(tmp_path):
    path, texts = tmp_path / "v.npz", tmp_path / "texts.json"
    some = dict(list(TEXTS.items())[:110])
    texts.write_text(json.dumps(some))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    waiting = tmp_path / ".v.npz.partial"
    process = subprocess.Popen([sys.executable, "-c", CODE, texts, path], env=environment)
    width = 4 * 384
    while process.poll() is None and not (_size(waiting) > 5 * 4 * width):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not path.exists()
    kept = (_size(waiting) - waiting.read_bytes().index(b"\n") - 1) // (4 * width) * 4
    assert kept >= 20

    class Counting(TextEncoder):
        asked = 0

        def encode(self, some):
            self.asked += len(some)
            return super().encode(some)

    encode(path, rest := Counting(), some, chunk=4)
    assert rest.asked == len(set(some.values())) - kept
    encode(tmp_path / "whole.npz", rest, some, chunk=4)
    ours, whole = read_text_vectors(path), read_text_vectors(tmp_path / "whole.npz")
    np.testing.assert_array_equal(ours.vectors, whole.vectors)
    assert ours.fingerprint == whole.fingerprint


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
