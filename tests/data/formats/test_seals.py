"""The seal of `prepare` and the manifest of `enrich`: a kill or an edit never goes unseen."""

import os
import shutil
from pathlib import Path

import pytest

from recbole_intent.data.formats.record_files import check_records, write_records
from recbole_intent.data.formats.seals import hash_inputs
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.utils.errors import UserError

HEAD = "user_id\titem_id\ttimestamp\n"
OLD = HEAD + "".join(f"u{u}\ti{(u + t) % 7}\t{t}\n" for u in range(9) for t in range(6))
NEW = HEAD + "".join(f"u{u}\ti{(u * t) % 5 + t}\t{t}\n" for u in range(9) for t in range(6))
ITEMS = "item_id\ttitle\n" + "".join(f"i{i}\tItem {i}\n" for i in range(12))


@pytest.fixture
def sources(write) -> tuple[Path, Path]:
    old, new = write("old.tsv", OLD), write("new.tsv", NEW)
    write("items.tsv", ITEMS)
    (old.parent / "old").mkdir()
    shutil.move(old, old.parent / "old/interactions.tsv")
    shutil.copy(old.parent / "items.tsv", old.parent / "old/items.tsv")
    return old.parent / "old", new


def _counted(really, left: list[int]):
    def call(*arguments, **options):
        if really.__name__ == "replace" or not str(arguments[0]).endswith(".tmp"):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
        return really(*arguments, **options)

    return call


def _killed_at(moment: int, work) -> bool:
    """Do some work in a process that is killed at its n-th rename or removal; was it?"""
    if (child := os.fork()) == 0:
        left = [moment]
        for name in ("replace", "unlink"):
            setattr(os, name, _counted(getattr(os, name), left))
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("d.*")}


def _readable(folder: Path) -> bool:
    try:
        hash_inputs(folder, "d", sorted(folder.glob("d.i*")))
    except UserError:
        return False
    return True


def test_killed_at_any_moment_a_mixture_is_refused_and_prepared_again(sources, tmp_path):
    """Over an older dataset that has an .item file, which the new one has not."""
    old, new = sources
    prepare("d", old, tmp_path / "old")
    prepare("d", new, tmp_path / "new")
    whole = [_files(tmp_path / name) for name in ("old", "new")]
    refused = 0
    for moment in range(20):
        folder = shutil.copytree(tmp_path / "old", tmp_path / f"at{moment}")
        was_killed = _killed_at(moment, lambda folder=folder: prepare("d", new, folder))
        if _readable(folder):
            assert _files(folder) in whole
        else:
            refused += 1
        prepare("d", new, folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole[1]
        if not was_killed:
            break
    assert refused >= 1
    assert not was_killed


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"u0\ti1\t99\n")


def _cut_at_a_line(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


DAMAGES = {
    "edited": _edit,
    "cut at a line": _cut_at_a_line,
    "empty": lambda path: path.write_bytes(b""),
    "absent": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", ["d.inter", "d.item"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_the_sealed_one_is_named(name, damage, sources, tmp_path):
    prepare("d", sources[0], tmp_path)
    DAMAGES[damage](tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: .*d\.prepared\.json.*run `prepare"):
        hash_inputs(tmp_path, "d", sorted(tmp_path.glob("d.i*")))
    (tmp_path / "d.prepared.json").unlink()  # the other remedy: changed on purpose
    hash_inputs(tmp_path, "d", sorted(tmp_path.glob("d.i*")))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"sha256": {}}', '{"sha256": {"a": 1}}'])
def test_a_damaged_seal_is_named_and_prepared_again(text, sources, tmp_path):
    prepare("d", sources[0], tmp_path)
    (tmp_path / "d.prepared.json").write_text(text)
    with pytest.raises(UserError, match=r"d\.prepared\.json: .*run `prepare"):
        hash_inputs(tmp_path, "d", [tmp_path / "d.inter"])
    prepare("d", sources[1], tmp_path)
    assert _files(tmp_path).keys() == {"d.inter", "d.prepared.json"}


@pytest.mark.parametrize("name", ["d.inter", "d.item"])
def test_prepare_does_not_replace_what_it_did_not_write(name, sources, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text("mine")
    (tmp_path / "data/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=rf"{name}: is there already"):
        prepare("d", sources[0], tmp_path / "data")
    assert {p.name: p.read_text() for p in (tmp_path / "data").iterdir()} == {
        name: "mine",
        "notes.txt": "mine",
    }


# --- manifests -------------------------------------------------------------------------------


@pytest.fixture
def enriched(tmp_path):
    from recbole_intent.data.formats.intent_files import PoolIntent

    lines = [PoolIntent(f"intent {i}", i) for i in range(4)]

    def make(lines=lines) -> tuple[Path, Path]:
        path, manifest = tmp_path / "d.intent", tmp_path / "d.intent.manifest.json"
        write_records({path: lines, tmp_path / "d.pool": lines}, manifest, lambda: {"version": "1"})
        return path, manifest

    return make


@pytest.mark.parametrize("name", ["d.intent", "d.pool"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_records_that_are_not_the_manifests_are_named(name, damage, enriched):
    path, manifest = enriched()
    check_records(path, manifest)
    DAMAGES[damage](path.with_name(name))
    with pytest.raises(UserError, match=rf"{name}: .*run `enrich` again"):
        check_records(path, manifest)
    enriched()
    check_records(path, manifest)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"sha256": {}}'])
def test_an_emptied_manifest_is_named(text, enriched):
    path, manifest = enriched()
    manifest.write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json: .*run `enrich` again"):
        check_records(path, manifest)
    manifest.unlink()  # changed on purpose
    check_records(path, manifest)


def test_a_manifest_of_an_older_version_is_said(enriched, caplog):
    path, manifest = enriched()
    manifest.write_text('{"version": "0.1"}')
    check_records(path, manifest)
    assert "has no hashes" in caplog.text


def test_killed_at_any_moment_records_do_not_pass_for_others(enriched):
    from recbole_intent.data.formats.intent_files import PoolIntent

    path, manifest = enriched()
    for moment in range(9):
        enriched()
        was_killed = _killed_at(moment, lambda: enriched([PoolIntent("new", 1)]))
        old = {"intent 0" in f.read_text() for f in (path, path.with_name("d.pool"))}
        try:
            check_records(path, manifest)
            assert len(old) == 1
        except UserError:
            assert was_killed
        if not was_killed:
            return
    raise AssertionError
