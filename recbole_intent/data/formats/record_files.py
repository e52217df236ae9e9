"""JSON-lines files next to the atomic files, one dataclass per line, with a manifest of hashes.

A field is a text, a count (int), a bool or a list of texts (tuple[str, ...]).
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from recbole_intent.data.formats.seals import SHA256, check_seal, read_seal, refuse_unsealed
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write, file_sha256
from recbole_intent.utils.own_files import read_json
from recbole_intent.utils.parsing import FAILURES, reason_of

_LOGGER = logging.getLogger("recbole_intent")

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
    """Iterate over the records of a file.

    Args:
        path: JSON-lines file, UTF-8.
        kind: dataclass of a line.

    Raises:
        UserError: a missing file or a malformed line (named).
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
            except FAILURES as error:
                reason = reason_of(error)
                raise UserError(f"{path}:{number}: not a JSON line: {reason}") from error
            if not isinstance(values, dict):
                raise UserError(f"{path}:{number}: expected an object with {', '.join(fits)}")
            for name, is_fit in fits.items():
                if name not in values or not is_fit(values[name]):
                    raise UserError(f"{path}:{number}: {name} is missing or of the wrong kind")
            plain = {name: values[name] for name in fits}
            yield kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})


def read_manifest(path: str | Path, remedy: str = "run `enrich` again") -> dict[str, Any]:
    """Read a manifest, without the hashes of its files.

    Raises:
        UserError: the file is missing or not a JSON object.
    """
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; `enrich` writes it")
    manifest = read_json(path, {}, remedy)
    return {key: value for key, value in manifest.items() if key != SHA256}


def check_records(path: str | Path, manifest: str | Path) -> None:
    """Check a file of records, and the files written with it, against their manifest.

    Files without a manifest were written by hand. A manifest of an old version without hashes is
    logged, since it cannot be checked.

    Args:
        path: file of records, of any name.
        manifest: manifest next to it.

    Raises:
        UserError: the manifest is damaged, or a file that it names is missing or has changed.
    """
    manifest = Path(manifest)
    if not (manifest.exists() or manifest.is_symlink()):
        return
    remedy = f"run `enrich` again, or remove {manifest.name} if you changed the files on purpose"
    values = read_json(manifest, {}, remedy)
    if SHA256 not in values and "version" in values:
        _LOGGER.warning("%s: has no hashes (an older version): %s is not checked", manifest, path)
        return
    check_seal(manifest, read_seal(manifest, remedy), remedy)


def write_records(
    files: Mapping[Path, Iterable[Any]], seal: Path, manifest: Callable[[], Mapping[str, Any]]
) -> None:
    """Write files and their manifest atomically.

    The manifest holds the hashes of the files. It is written last and renamed first, so at any
    moment manifest and files are all old, all new, or detectably inconsistent.

    Args:
        files: path -> records, all in the manifest's folder; the records may be lazy iterables
            and are consumed file by file.
        seal: path of the manifest.
        manifest: returns plain values; called after the other files are written.

    Raises:
        UserError: a file exists that `enrich` did not write, the disk is full, or the folder is
            not writable. Old files are kept.
    """
    refuse_unsealed(files, seal, "enrich")
    with ExitStack() as renames:  # the last one entered is renamed first
        hashes = {}
        for path, records in files.items():
            temporary = renames.enter_context(atomic_write(path))
            with temporary.open("w", encoding="utf-8") as file:
                for record in records:
                    file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
            hashes[path.name] = file_sha256(temporary)
        sealed = renames.enter_context(atomic_write(seal))
        values = {**manifest(), SHA256: hashes}
        text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
        sealed.write_text(text + "\n", encoding="utf-8")
