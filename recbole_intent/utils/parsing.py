"""Parsing of JSON and YAML from outside; every failure is one line that names the place.

Parsers fail with more than their own error class: on numbers with more digits than Python converts,
nesting deeper than the stack, values that contain themselves, and lone surrogates.
"""

import json
import os
import re
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from recbole_intent.utils.errors import UserError

# Exceptions that a parser may raise on malformed text.
FAILURES = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    MemoryError,
)
# More values than any settings file has; nested YAML aliases quickly exceed it.
MAX_VALUES = 1_000_000
PATIENCE = 10  # seconds


@contextmanager
def opened_file(path: str | Path, what: str = "file", *, pipes: bool = False) -> Iterator[BinaryIO]:
    """Open a file for reading bytes.

    Args:
        path: a regular file: a pipe without a writer never opens, `/dev/zero` never ends.
        what: name of the file in the error: `no such configuration file`.
        pipes: also accept a pipe that is opened for writing within `PATIENCE`.

    Raises:
        UserError: missing, not a regular file, or unreadable. OSErrors of the `with` block are
            converted too.
    """
    try:
        # Non-blocking, since opening a pipe waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISDIR(mode):
                raise UserError(f"{path}: is a folder, not a file")
            if pipes and stat.S_ISFIFO(mode):
                _wait_for_writer(path, descriptor)
            elif not stat.S_ISREG(mode):
                raise UserError(f"{path}: is a pipe or a device, not a regular file")
            yield file
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such {what}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        if isinstance(error, UserError) or "null byte" not in str(error):
            raise
        raise UserError(f"{path!r}: no file has such a name") from error


def _wait_for_writer(path: str | Path, descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(PATIENCE * 1000):
        with suppress(BlockingIOError):  # a writer has it open and has written nothing yet
            os.read(descriptor, 1)
            raise UserError(f"{path}: is a pipe that nobody writes to")
    os.set_blocking(descriptor, True)


def read_text(path: str | Path, what: str = "file") -> str:
    """Read a UTF-8 text file, without its byte-order mark.

    Raises:
        UserError: as `opened_file`, or not UTF-8.
    """
    with opened_file(path, what) as file:
        data = file.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start})") from error


def parse_json(text: str | bytes, where: str, hint: str = "") -> Any:
    """Parse a JSON text.

    Args:
        text: the JSON; bytes are UTF-8.
        where: file, and line if known.
        hint: remedy, at the end of the error.

    Raises:
        UserError: not JSON, or a value that cannot be converted.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}"
        raise UserError(f"{where}: not JSON: {error.msg} ({place}){hint}") from error
    except FAILURES as error:
        raise UserError(f"{where}: not JSON: {reason_of(error)}{hint}") from error


def parse_yaml(text: str, where: str) -> Any:
    """Parse a YAML text into plain values: numbers, texts, lists and mappings.

    `1e-3` is a number. Dates stay texts. All keys are texts, including `1` and `on`.

    Args:
        text: the YAML.
        where: the file; the line is added.

    Raises:
        UserError: not YAML; a key given twice; a value that contains itself, is too large for 64
            bits, or is a lone surrogate.
    """
    try:
        value = yaml.load(text, Loader=_Loader)
        _check_plain(value)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "no reason"
        raise UserError(f"{where}{line}: not YAML: {problem}") from error
    except (LookupError, TypeError, AttributeError) as error:  # `!!int ''`, `!!bool maybe`
        raise UserError(f"{where}: not YAML: a value does not fit its tag") from error
    except FAILURES as error:
        raise UserError(f"{where}: not YAML: {reason_of(error)}") from error
    return value


def reason_of(error: BaseException) -> str:
    """Describe in a few words why a parser failed."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "too large"
    if "integer string conversion" in str(error):
        return "a number has too many digits"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check_plain(value: Any) -> None:
    """Raise ValueError for values that are cyclic, too many, or cannot be saved."""
    n_values, inside = 0, set()

    def check(value: Any) -> None:
        nonlocal n_values
        n_values += 1
        if n_values > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values")
        if isinstance(value, dict | list):
            if id(value) in inside:
                raise ValueError("a value that contains itself")
            inside.add(id(value))
            for item in value:
                check(item)
                if isinstance(value, dict):
                    check(value[item])
            inside.remove(id(value))
        elif isinstance(value, str):
            if not is_text(value):
                raise ValueError(f"{value[:40]!r} holds something that is not a character")
        elif isinstance(value, int):
            if abs(value) >= 2**63:
                raise ValueError("a number has too many digits")
        elif not isinstance(value, float | None):
            raise ValueError(f"{type(value).__name__} is none of the kinds of values")

    check(value)


def is_text(value: str) -> bool:
    """Whether a string is valid in UTF-8 files and paths: no lone surrogates, no NUL."""
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


class _Loader(yaml.SafeLoader):
    """A safe YAML loader with the rules of `parse_yaml`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep)  # which raises
        seen = set()
        for key, _ in node.value:
            problem = None
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key is a list or a mapping; keys are words"
            elif key.value in seen:
                problem = f"key {key.value!r} is given twice"
            if problem:
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        self.flatten_mapping(node)  # `<<: *other`, whose keys come first
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)
# Dates stay texts: no key takes a date.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in _Loader.yaml_implicit_resolvers.items()
}


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """Read the `key: value` lines of a YAML file.

    Raises:
        UserError: missing, not UTF-8, or not such YAML (with the line).
    """
    values = parse_yaml(read_text(Path(path), "configuration file"), f"{path}")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected `key: value` lines, found {type(values).__name__}")
    return values


def parse_value(text: str) -> Any:
    """Parse the value of a command-line `--key=text` as YAML: numbers, lists, `~`, strings.

    Raises:
        UserError: invalid YAML, such as an unclosed bracket.
    """
    try:
        return parse_yaml(text, "")
    except UserError as error:
        shown = text if len(text) <= 60 else f"{text[:57]}…"
        problem = str(error).partition("not YAML: ")[2]
        raise UserError(f"cannot read the value {shown!r}: {problem}") from error
