"""The one reader of files that this package wrote itself: JSON, YAML, .npz.

Disks fill, copies break off, people edit: a file of ours may hold anything. Whatever it is, the
reader ends in one line that names the file and what helps.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent import parsing
from recbole_intent.errors import UserError

NUMBER = (int, float)
_Kinds = Mapping[str, type | tuple[type, ...]]
_NAMES = {dict: "an object", list: "a list", str: "a text", int: "a whole number", bool: "a bool"}


def read_json(path: str | Path, keys: _Kinds = {}, remedy: str = "") -> dict[str, Any]:  # noqa: B006
    """The object of a JSON file.

    Args:
        path: of the file.
        keys: name -> type (or types) of the values that must be there; others may be.
        remedy: what helps if the file is damaged, such as `remove it, and …`.

    Raises:
        UserError: absent, unreadable, not such JSON, or a key is missing or of another type.
    """
    text = read_text(path, remedy)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise damaged(path, f"no JSON: {why}" if text.strip() else "empty", remedy) from error
    return checked(path, values, keys, remedy)


def read_mapping(path: str | Path, keys: _Kinds = {}, remedy: str = "") -> dict[str, Any]:  # noqa: B006
    """As `read_json`, of a YAML file with `key: value` lines."""
    from recbole_intent.config import read_yaml

    if Path(path).is_dir():
        raise damaged(path, "is a folder, where a file must be", "move it away")
    try:
        values = read_yaml(path)
    except (UserError, ValueError, TypeError, RecursionError) as error:
        why = str(error).removeprefix(f"{path}: ") or "nested too deeply"
        raise damaged(path, why, remedy) from error
    return checked(path, values, keys, remedy)


def read_text(path: str | Path, remedy: str = "") -> str:
    """The text of a UTF-8 file.

    Raises:
        UserError: absent, unreadable, or not UTF-8.
    """
    if Path(path).is_dir():
        raise damaged(path, "is a folder, where a file must be", "move it away")
    try:
        return parsing.read_text(path)
    except UserError as error:
        raise damaged(path, str(error).removeprefix(f"{path}: "), remedy) from error


def read_npz(
    path: str | Path,
    names: tuple[str, ...],
    remedy: str = "",
    what: str = "not a file of this package",
    optional: tuple[str, ...] = (),
) -> dict[str, np.ndarray]:
    """Arrays of a file of `numpy.savez`, by name.

    Args:
        path: of the file.
        names: of the arrays that must be there.
        optional: of arrays that are read where they are there.
        remedy: what helps if the file is damaged.
        what: is said of a file that is damaged.

    Raises:
        UserError: absent, unreadable, not such a file, or an array is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (*names, *(set(optional) & set(file.files)))}
    except FileNotFoundError as error:
        raise damaged(path, "no such file", remedy) from error
    except IsADirectoryError as error:
        raise damaged(path, "is a folder, where a file must be", "move it away") from error
    except Exception as error:  # damaged bytes raise whatever zipfile, zlib and numpy raise
        raise damaged(path, what, remedy) from error


def read_json_lines(path: str | Path, remedy: str = "") -> Iterator[tuple[int, Any]]:
    """Number, from 1, and value of each line of a JSON lines file; an unfinished last one is none.

    Raises:
        UserError: absent, unreadable, or a line that is not JSON.
    """
    text = read_text(path, remedy)
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise damaged(f"{path}:{number}", "not JSON", remedy) from error


def checked(path: str | Path, values: Any, keys: _Kinds, remedy: str = "") -> dict[str, Any]:
    """A plain value that was read, if it is a mapping with these keys of these types.

    Raises:
        UserError: it is not.
    """
    if not isinstance(values, dict):
        raise damaged(path, f"expected an object with {', '.join(keys) or 'keys'}", remedy)
    for name, kinds in keys.items():
        wanted = kinds if isinstance(kinds, tuple) else (kinds,)
        value = values.get(name)
        is_fit = isinstance(value, wanted) and (not isinstance(value, bool) or bool in wanted)
        if name not in values or not is_fit:
            state = "is of the wrong type" if name in values else "is missing"
            raise damaged(path, f"{name} {state} ({_NAMES.get(wanted[0], 'a number')})", remedy)
    return values


def damaged(path: str | Path, what: str, remedy: str) -> UserError:
    """The error to raise about a file of ours."""
    return UserError(f"{path}: {what}; {remedy}" if remedy else f"{path}: {what}")
