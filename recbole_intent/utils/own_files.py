"""Readers of the files that this package writes: JSON, YAML and .npz.

A full disk, an interrupted copy or an editor may damage such a file. Every failure raises a
one-line error that names the file and the remedy.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.utils import parsing
from recbole_intent.utils.errors import UserError

NUMBER = (int, float)
Kinds = Mapping[str, type | tuple[type, ...]]
_NAMES = {dict: "an object", list: "a list", str: "a text", int: "a whole number", bool: "a bool"}


def read_json(path: str | Path, keys: Kinds = {}, remedy: str = "") -> dict[str, Any]:  # noqa: B006
    """Read the object in a JSON file.

    Args:
        path: the file.
        keys: name -> type (or types) of required values; others are allowed.
        remedy: advice if the file is damaged, such as `remove it, and …`.

    Raises:
        UserError: missing or unreadable file, invalid JSON, or a key is missing or of another type.
    """
    text = read_text(path, remedy)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise damaged(path, f"no JSON: {why}" if text.strip() else "empty", remedy) from error
    return checked(path, values, keys, remedy)


def read_mapping(path: str | Path, keys: Kinds = {}, remedy: str = "") -> dict[str, Any]:  # noqa: B006
    """As `read_json`, for a YAML file with `key: value` lines."""
    from recbole_intent.utils.parsing import read_yaml

    if Path(path).is_dir():
        raise damaged(path, "is a folder, where a file must be", "move it away")
    try:
        values = read_yaml(path)
    except (UserError, ValueError, TypeError, RecursionError) as error:
        why = str(error).removeprefix(f"{path}: ") or "nested too deeply"
        raise damaged(path, why, remedy) from error
    return checked(path, values, keys, remedy)


def read_text(path: str | Path, remedy: str = "") -> str:
    """Read a UTF-8 text file.

    Raises:
        UserError: missing, unreadable, or not UTF-8.
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
    """Read arrays of a `numpy.savez` file by name.

    Args:
        path: the file.
        names: the required arrays.
        optional: arrays that are read if present.
        remedy: advice if the file is damaged.
        what: description of a damaged file, for the error.

    Raises:
        UserError: missing, unreadable or invalid file, or a missing array.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (*names, *(set(optional) & set(file.files)))}
    except FileNotFoundError as error:
        raise damaged(path, "no such file", remedy) from error
    except IsADirectoryError as error:
        raise damaged(path, "is a folder, where a file must be", "move it away") from error
    except Exception as error:  # zipfile, zlib and numpy raise many kinds for damaged bytes
        raise damaged(path, what, remedy) from error


def read_json_lines(path: str | Path, remedy: str = "") -> Iterator[tuple[int, Any]]:
    """Yield (number from 1, value) of each line; an unfinished last line is skipped.

    Raises:
        UserError: missing, unreadable, or a line that is not JSON.
    """
    text = read_text(path, remedy)
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise damaged(f"{path}:{number}", "not JSON", remedy) from error


def checked(path: str | Path, values: Any, keys: Kinds, remedy: str = "") -> dict[str, Any]:
    """Return a value that was read if it is a mapping with these keys of these types.

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
    """Return the error for a damaged file of this package."""
    return UserError(f"{path}: {what}; {remedy}" if remedy else f"{path}: {what}")
