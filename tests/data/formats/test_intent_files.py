"""Files of intents: what is written is read again, and a bad line is named."""

import pytest

from recbole_intent.data.formats.intent_files import (
    ItemFeatures,
    PoolIntent,
    SessionIntents,
    read_features,
    read_intents,
    read_pool,
    write_intent_files,
)
from recbole_intent.data.formats.record_files import read_manifest
from recbole_intent.utils.errors import UserError

SESSIONS = [
    SessionIntents("a#1", ("güte", 'a "quote"'), ("i1",), 2, True),
    SessionIntents("b#1", (), ("i2", "i3"), 3, False),
]
POOL = [PoolIntent("güte", 1), PoolIntent('a "quote"', 1), PoolIntent("unused", 0)]
FEATURES = [ItemFeatures("i1", ("red", "line\nbreak\u2028")), ItemFeatures("i2", ())]


def write(folder, **parts):
    given = {"intents": SESSIONS, "pool": POOL, "features": FEATURES, "manifest": lambda: {"a": 1}}
    write_intent_files(folder, "d", **{**given, **parts})


def test_what_is_written_is_read(tmp_path):
    write(tmp_path)
    assert list(read_intents(tmp_path / "d.intent")) == SESSIONS
    assert read_pool(tmp_path / "d.intent_pool") == POOL
    assert read_features(tmp_path / "d.item_feature") == {f.item: f.features for f in FEATURES}
    assert read_manifest(tmp_path / "d.intent.manifest.json") == {"a": 1}
    assert len(list(tmp_path.iterdir())) == 4


def test_a_failure_leaves_the_old_files(tmp_path):
    write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken():
        yield SESSIONS[0]
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        write(tmp_path, intents=broken())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":2: not a JSON line"),
        ("[]", ":2: expected an object with session, intents"),
        ('{"session": "s"}', ":2: intents is missing or of the wrong kind"),
        (
            '{"session": "s", "intents": "x", "hard_negatives": [], "attempts": 1, "passed": true}',
            ":2: intents is missing or of the wrong kind",
        ),
        (
            '{"session": "s", "intents": [], "hard_negatives": [], "attempts": true, '
            '"passed": true}',
            ":2: attempts is missing or of the wrong kind",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    write(tmp_path)
    path = tmp_path / "d.intent"
    path.write_text(path.read_text().splitlines()[0] + "\n" + line + "\n")
    with pytest.raises(UserError, match=message):
        list(read_intents(path))


def test_absent_and_unreadable_files_are_named(tmp_path):
    for read in (lambda p: list(read_intents(p)), read_pool, read_features, read_manifest):
        with pytest.raises(UserError, match="none: no such file; `enrich` writes it"):
            read(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b'{"item": "\xff"}\n')
    with pytest.raises(UserError, match="not UTF-8"):
        read_features(tmp_path / "bad")
    (tmp_path / "twice").write_text('{"intent": "a", "sessions": 1}\n' * 2)
    with pytest.raises(UserError, match=":2: intent 'a' stands twice"):
        read_pool(tmp_path / "twice")
    (tmp_path / "half").write_text('{"a":')
    with pytest.raises(UserError, match="half: no JSON"):
        read_manifest(tmp_path / "half")
