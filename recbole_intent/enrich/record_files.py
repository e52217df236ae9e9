"""Files of JSON lines beside the atomic files: a dataclass a line, and a manifest that seals them.

A field is a text, a count (int), a bool or a list of texts (tuple[str, ...]).
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from recbole_intent.data.seals import SHA256, check_seal, read_seal, refuse_unsealed
from recbole_intent.errors import UserError
from recbole_intent.files import atomic_write, file_sha256
from recbole_intent.own_files import read_json
from recbole_intent.parsing import FAILURES, reason_of

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
    """The contents of a manifest, without the hashes of its files.

    Raises:
        UserError: absent, or no JSON object.
    """
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; `enrich` writes it")
    manifest = read_json(path, {}, remedy)
    return {key: value for key, value in manifest.items() if key != SHA256}


def check_records(path: str | Path, manifest: str | Path) -> None:
    """Check a file of records, and those written with it, against their manifest.

    Files without a manifest were written by hand; a manifest of a version that kept no hashes is
    logged, for nothing can be checked.

    Args:
        path: of the file of records, whatever its name.
        manifest: beside it.

    Raises:
        UserError: the manifest is damaged, or a file that it names is absent or another one.
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
    """Write files and their manifest: each whole or not at all.

    The manifest holds their hashes. It is written last and renamed first, so that at every moment
    it and the files are all old, all new, or do not match.

    Args:
        files: path -> its records, all in the manifest's folder; they may be read as they are
            written, one file after another.
        seal: path of the manifest.
        manifest: gives plain values; called when the others are written.

    Raises:
        UserError: a file is there that `enrich` did not write; the disk is full or the folder
            cannot be written. Old files then stay.
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
