"""Records of any dataclass: what is written is read, and a field of another kind is named."""

import json
from dataclasses import dataclass

import pytest

from recbole_intent.data.formats.record_files import read_manifest, read_records, write_records
from recbole_intent.utils.errors import UserError


@dataclass(frozen=True)
class Thing:
    name: str
    count: int
    is_good: bool
    words: tuple[str, ...]


THINGS = [Thing("ü\u2028", 0, True, ()), Thing("b", 3, False, ("x", 'y "z"'))]
GOOD = {"name": "a", "count": 1, "is_good": True, "words": []}


def test_what_is_written_is_read_and_the_manifest_comes_last(tmp_path):
    order = []

    def records(name):
        order.append(name)
        yield from THINGS

    def manifest():
        order.append("manifest")
        return {"n": 2}

    files = {tmp_path / "a": records("a"), tmp_path / "b": records("b")}
    write_records(files, tmp_path / "m", manifest)
    assert order == ["a", "b", "manifest"]
    assert list(read_records(tmp_path / "b", Thing)) == THINGS
    assert read_manifest(tmp_path / "m") == {"n": 2}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "m"}


def test_a_failure_leaves_the_old_files(tmp_path):
    write_records({tmp_path / "a": THINGS}, tmp_path / "m", lambda: {"n": 2})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def manifest():
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        write_records({tmp_path / "a": THINGS[:1]}, tmp_path / "m", manifest)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 1),
        ("count", True),
        ("count", -1),
        ("count", 1.5),
        ("is_good", 1),
        ("words", "x"),
        ("words", [1]),
    ],
)
def test_a_field_of_another_kind_is_named(tmp_path, field, value):
    lines = [json.dumps(GOOD), json.dumps({**GOOD, field: value})]
    (tmp_path / "a").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=f":2: {field} is missing or of the wrong kind"):
        list(read_records(tmp_path / "a", Thing))
