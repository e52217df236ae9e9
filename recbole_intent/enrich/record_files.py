"""Files of JSON lines beside the atomic files: a dataclass a line, and a manifest that seals them.

A field is a text, a count (int), a bool or a list of texts (tuple[str, ...]).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from recbole_intent.errors import UserError
from recbole_intent.files import atomic_write

Record = TypeVar("Record")

_FITS: dict[Any, Callable[[Any], bool]] = {
    str: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    tuple[str, ...]: lambda value: (
        isinstance(value, list) and all(isinstance(text, str) for text in value)
    ),
}


def read_records(path: str | Path, kind: type[Record]) -> Iterator[Record]:
    """The lines of a file, one after another.

    Args:
        path: of JSON lines, UTF-8.
        kind: dataclass of a line.

    Raises:
        UserError: absent, or a line that is not of this form (named).
    """
    fits = {name: _FITS[hint] for name, hint in get_type_hints(kind).items()}
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115 (closed by the with below)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `enrich` writes it") from error
    with file:
        lines = enumerate(file, start=1)
        while True:
            try:
                number, line = next(lines)
                values = json.loads(line)
            except StopIteration:
                return
            except UnicodeDecodeError as error:
                raise UserError(f"{path}: not UTF-8 (byte {error.start})") from error
            except ValueError as error:
                raise UserError(f"{path}:{number}: not a JSON line: {error}") from error
            if not isinstance(values, dict):
                raise UserError(f"{path}:{number}: expected an object with {', '.join(fits)}")
            for name, is_fit in fits.items():
                if name not in values or not is_fit(values[name]):
                    raise UserError(f"{path}:{number}: {name} is missing or of the wrong kind")
            plain = {name: values[name] for name in fits}
            yield kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The contents of a manifest.

    Raises:
        UserError: absent, or no JSON.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `enrich` writes it") from error
    except ValueError as error:
        raise UserError(f"{path}: no JSON ({error}); run `enrich` again") from error


def write_records(
    files: Mapping[Path, Iterable[Any]], seal: Path, manifest: Callable[[], Mapping[str, Any]]
) -> None:
    """Write files and their manifest: each whole or not at all, the manifest last.

    An old manifest goes first, so that a manifest tells that the others belong to it.

    Args:
        files: path -> its records; they may be read as they are written, one file after another.
        seal: path of the manifest.
        manifest: gives plain values; called when the others are written.

    Raises:
        UserError: the disk is full or the folder cannot be written; old files then stay.
    """
    with ExitStack() as renames:
        sealed = renames.enter_context(atomic_write(seal))  # entered first, renamed last
        for path, records in files.items():
            with renames.enter_context(atomic_write(path)).open("w", encoding="utf-8") as file:
                for record in records:
                    file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
        text = json.dumps(manifest(), indent=2, ensure_ascii=False, allow_nan=False)
        try:
            sealed.write_text(text + "\n", encoding="utf-8")
        except OSError as error:  # here, or the file before it would be named
            why = error.strerror or error
            raise UserError(f"{seal}: cannot be written: {why}") from error
        seal.unlink(missing_ok=True)
