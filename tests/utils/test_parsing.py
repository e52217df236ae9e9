"""Hostile text and hostile files: one line that names the place, wherever they are read."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_intent.cli.main import main
from recbole_intent.data.formats.histories import read_histories, read_users
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import parse_json, parse_value, parse_yaml, read_text, read_yaml

ROOT = Path(__file__).resolve().parents[2]
DIGITS, DEEP = "9" * 5000, "[" * 20_000
LAUGHS = "".join(
    f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10) if n else '1'}]\n" for n in range(12)
)

HOSTILE_YAML = {
    "digits": DIGITS,
    "more than 64 bits": "9" * 20,
    "depth of lists": DEEP,
    "depth of mappings": "{a: " * 20_000,
    "depth of indents": "- " * 20_000,
    "a key that is a list": "? [a, b]\n: c",
    "a key that is a mapping": "{{a: 1}: 2}",
    "an alias in itself": "&a [*a]",
    "an alias in a mapping of itself": "&a {b: *a}",
    "aliases of aliases": LAUGHS,
    "an unknown alias": "*nobody",
    "a Python object": "!!python/object/apply:os.getcwd []",
    "a tag of nobody": "!mine 3",
    "a set": "!!set {a, b}",
    "bytes": "!!binary aGVsbG8=",
    "ordered pairs": "!!omap [a: 1]",
    "a tag that does not fit": "!!int [1]",
    "no integer": "!!int abc",
    "an empty integer": "!!int ''",
    "no float": "!!float abc",
    "no bool": "!!bool abc",
    "no timestamp": "!!timestamp abc",
    "no date": "!!timestamp 2024-99-99",
    "half a character": '"\\ud800"',
    "an escaped NUL": '"a\\0b"',
    "a NUL": "a\0b",
    "a control character": "a\x1b[2J",
    "a tab as indent": "a:\n\t- b",
    "two documents": "a: 1\n---\nb: 2\n",
    "unclosed": "{a: [1",
    "a colon too many": "a: b: c",
    "a lone quote": '"',
    "a directive": "%YAML 9.9\n---\na",
    "twice": "{a: 1, a: 2}",
}


@pytest.mark.parametrize("name", HOSTILE_YAML)
def test_yaml(name):
    with pytest.raises(UserError, match=r"^x\.yaml(:\d+)?: not YAML: \S") as caught:
        parse_yaml(HOSTILE_YAML[name], "x.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2024-01-02", "2024-01-02"),
        ("{1: a, on: b, ~: c, 2024-01-02: d}", {"1": "a", "on": "b", "~": "c", "2024-01-02": "d"}),
        ("[&a [1], *a]", [[1], [1]]),
        ("{a: &x {k: 1}, b: {<<: *x, j: 2}}", {"a": {"k": 1}, "b": {"k": 1, "j": 2}}),
        ("'é 😀'", "é 😀"),
        ("", None),
    ],
)
def test_plain_yaml(text, value):
    assert parse_yaml(text, "x") == value


@pytest.mark.parametrize(
    "text", [DIGITS, DEEP, '{"a":' * 20_000, "[1", "nonsense", "", b"\xff", "1e999999x", '"\x01"']
)
def test_json(text):
    with pytest.raises(UserError, match=r"^x: not JSON: .*; hint$") as caught:
        parse_json(text, "x", "; hint")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


HOSTILE_LINES = [
    f'["i1", {DIGITS}]',
    DEEP,
    '{"user": "\\ud800", "items": ["i1"]}',
    '["\\ud800"]',
    f'{{"user": {DIGITS[:30]}, "items": []}}',
    "[1e400]",
    "[NaN]",
    "[null]",
    "[{}]",
    '{"items": {"a": 1}}',
    '{"user": 1.5, "items": []}',
    "\x00",
]


@pytest.mark.parametrize("line", HOSTILE_LINES, ids=range(len(HOSTILE_LINES)))
def test_lines_of_histories(tmp_path, line):
    path = tmp_path / "h.jsonl"
    path.write_text('["i1"]\n' + line + "\n")
    with pytest.raises(UserError, match=r"h\.jsonl:2: ") as caught:
        list(read_histories(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


# --- files ------------------------------------------------------------------------------------


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def unreadable(path: Path) -> Path:
    path.write_text("")
    path.chmod(0)
    return path


HOSTILE_FILES = {
    "absent": lambda path: path,
    "a folder": folder,
    "a pipe": pipe,
    "endless": lambda path: Path("/dev/zero"),
    "nothing": lambda path: Path("/dev/null"),
    "a loop": loop,
    "a long name": lambda path: path / ("x" * 300),
    "below a file": lambda path: Path(__file__) / "x",
    "a NUL": lambda path: path.with_name("a\0b"),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
@pytest.mark.parametrize("read", [read_text, read_yaml, read_users, read_histories])
def test_files(tmp_path, monkeypatch, read, name):
    monkeypatch.setattr("recbole_intent.utils.parsing.PATIENCE", 0.01)
    path = HOSTILE_FILES[name](tmp_path / "file")
    with pytest.raises(UserError) as caught:
        list(read(path))
    assert "\n" not in str(caught.value)
    assert str(path).replace("\0", "\\x00")[:40] in str(caught.value)


OPTIONS = {
    "--config_files": ["--model=BPR", "--dataset=ml-100k"],
    "--params": ["compare", "--models=BPR,Pop", "--dataset=ml-100k"],
    "--search": ["tune", "--model=BPR", "--dataset=ml-100k"],
    "--source": ["prepare", "--dataset=mine"],
    "--run": ["evaluate"],
    "--data_path": ["--model=BPR", "--dataset=ml-100k-mine"],
    "--dataset": ["--model=BPR"],
    "--output": ["--model=BPR", "--dataset=ml-100k", "--epochs=1", "--device=cpu"],
}


@pytest.mark.parametrize("name", sorted(set(HOSTILE_FILES) - {"absent", "a NUL", "a folder"}))
@pytest.mark.parametrize("option", OPTIONS)
def test_options_that_name_files(tmp_path, monkeypatch, capsys, option, name):
    """Each ends at once, in one line, and leaves the folder as it was."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = HOSTILE_FILES[name](tmp_path / "file")
    before = sorted(os.listdir(tmp_path))
    assert main([*OPTIONS[option], f"{option}={path}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    assert sorted(os.listdir(tmp_path)) == before
    assert os.listdir(tmp_path / "here") == []


def test_a_pipe_with_a_writer_is_read(tmp_path):
    path = pipe(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", f"sleep 0.2; echo u1 > {path}"])
    assert list(read_users(path)) == ["u1"]
    assert writer.wait() == 0


def test_too_few_open_files(tmp_path):
    """A real process that may open no more files than it has open."""
    (tmp_path / "my.yaml").write_text("epochs: 1\n")
    code = (
        "import os, resource, sys\n"
        "from recbole_intent.cli.main import main\n"
        "words = ['--model=BPR', '--dataset=ml-100k']\n"
        "assert main([*words, '--config_files=absent.yaml']) == 2\n"  # all modules are there now
        "few = len(os.listdir('/proc/self/fd')) - 1\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))\n"
        "sys.exit(main([*words, '--config_files=my.yaml']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines(keepends=True)[1:]
    assert last == [f"error: my.yaml: cannot be read: {os.strerror(errno.EMFILE)}\n"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EIO])
def test_whatever_the_system_refuses_is_one_line(monkeypatch, capsys, number):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number), "some/file")

    monkeypatch.setattr("recbole_intent.runs.experiment.run", refused)
    assert main(["--model=BPR", "--dataset=ml-100k"]) == 2
    assert capsys.readouterr().err == f"error: some/file: {os.strerror(number)}\n"


def test_where_it_was_met_can_be_shown(monkeypatch, capsys):
    monkeypatch.setenv("RECBOLE_INTENT_TRACEBACK", "1")
    assert main(["--model=BPR", "--dataset=ml-100k", "--topk=[1"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("error: cannot read the value")


def test_values_on_the_command_line():
    for text in HOSTILE_YAML.values():
        with pytest.raises(UserError, match=r"^cannot read the value .*: ") as caught:
            parse_value(text)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert json.dumps(parse_value("{a: [1, 2.5, ~, x]}")) == '{"a": [1, 2.5, null, "x"]}'
