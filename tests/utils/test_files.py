"""Files that are whole or not there, and folders with one owner."""

import json
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import (
    atomic_write,
    file_sha256,
    fingerprint,
    folder_lock,
    write_json,
    write_text,
)

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "one")
    with atomic_write(path) as temporary:
        temporary.write_text("two")
        assert path.read_text() == "one"
        assert temporary.parent == path.parent  # the same file system, so that renaming is atomic
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def _half_written(path: Path, error: BaseException) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)):
        _half_written(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(UserError, match=r"a\.txt: cannot be written: No space left"):
        _half_written(path, OSError(28, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    for attempt in (lambda: write_text(tmp_path / "a/b", "x"), lambda: _lock(tmp_path / "a")):
        with pytest.raises(UserError, match="cannot be written"):
            attempt()


def _lock(folder: Path) -> None:
    with folder_lock(folder):
        pass


def test_json_is_strict(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1.5, "y": [None, "é"]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1.5, "y": [None, "é"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text())["x"] == 1.5


def test_fingerprints_depend_on_content_alone(tmp_path):
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 1.5})
    for name in ("x", "y"):
        (tmp_path / name).write_bytes(b"abc")
    assert file_sha256(tmp_path / "x") == file_sha256(tmp_path / "y")
    assert file_sha256(tmp_path / "x").startswith("ba7816bf")


def test_a_folder_has_one_owner_at_a_time(tmp_path):
    with folder_lock(tmp_path / "run"):
        with pytest.raises(UserError, match=r"another process \(pid \d+\) is at work"):
            _lock(tmp_path / "run")
        _lock(tmp_path / "other")
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]
    _lock(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def test_removing_the_lock_lets_no_two_owners_in(tmp_path):
    """Three processes that wait for each other add to one number, 100 times each."""
    code = """
        import sys
        from pathlib import Path
        from recbole_intent.utils.files import folder_lock
        number = Path(sys.argv[1]) / "number"
        for _ in range(100):
            with folder_lock(Path(sys.argv[1]) / "run", wait=True):
                number.write_text(str(int(number.read_text()) + 1))
    """
    (tmp_path / "number").write_text("0")
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    owners = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [owner.wait(120) for owner in owners] == [0, 0, 0]
    assert (tmp_path / "number").read_text() == "300"
    assert not list((tmp_path / "run").iterdir())


def test_waiting_is_said(tmp_path, caplog):
    def wait() -> None:
        with folder_lock(tmp_path, wait=True):
            pass

    waiting = threading.Thread(target=wait)
    with caplog.at_level("INFO", "recbole_intent"), folder_lock(tmp_path):
        waiting.start()
        while "waiting for another process (pid " not in caplog.text:
            assert waiting.is_alive()
            time.sleep(0.01)
    waiting.join(60)
    assert not waiting.is_alive()


def test_a_killed_owner_frees_its_folder_and_one_that_waits_gets_it(tmp_path):
    code = """
        import sys, time
        from recbole_intent.utils.files import folder_lock
        with folder_lock(sys.argv[1]):
            print("mine", flush=True)
            time.sleep(600)
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout.readline() == "mine\n"
    with pytest.raises(UserError, match=f"pid {owner.pid}"):
        _lock(tmp_path)
    waiting = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(code).replace("1])", "1], wait=True)"),
            str(tmp_path),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.3)
    owner.kill()
    owner.communicate()
    assert waiting.stdout.readline() == "mine\n"
    waiting.kill()
    waiting.communicate()
    _lock(tmp_path)
