"""Seals: hashes that `prepare` and `enrich` store with their files and every reader checks.

A seal is renamed into place before the files that it names. So if a process is killed at any
moment, a mixture of old and new files does not match the seal.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import file_sha256
from recbole_intent.utils.own_files import checked, damaged, read_json

SHA256 = "sha256"  # key of a seal: file name -> hash


def prepared_path(folder: str | Path, dataset: str) -> Path:
    """The path of the seal of a dataset's atomic files."""
    return Path(folder) / f"{dataset}.prepared.json"


def hash_inputs(folder: str | Path, dataset: str, files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of atomic files by name, after a check against the seal of `prepare`.

    A dataset without a seal was written by hand, so its files are only hashed.

    Args:
        folder: folder of the dataset.
        dataset: its name.
        files: the files to read.

    Raises:
        UserError: the seal is damaged, or a file that it names is missing or has changed.
    """
    hashes = {path.name: file_sha256(path) for path in files}
    seal = prepared_path(folder, dataset)
    remedy = (
        f"run `prepare --dataset={dataset}` again, or remove {seal.name} if you changed the files "
        "on purpose"
    )
    if seal.exists() or seal.is_symlink():
        check_seal(seal, read_seal(seal, remedy), remedy, hashes)
    return hashes


def read_seal(seal: Path, remedy: str) -> dict[str, str]:
    """Read a seal: file name -> hash.

    Raises:
        UserError: it is not readable, or names no files.
    """
    named = read_json(seal, {SHA256: dict}, remedy)[SHA256]
    checked(seal, named, dict.fromkeys(named, str), remedy)
    if not named or any("/" in name for name in named):
        raise damaged(seal, "names no files beside it", remedy)
    return named


def check_seal(
    seal: Path, named: Mapping[str, str], remedy: str, hashes: Mapping[str, str] | None = None
) -> None:
    """Compare the files next to a seal with its hashes.

    Args:
        seal: its path.
        named: file name -> hash, from the seal.
        remedy: remedy named in the error.
        hashes: hashes that are already computed.

    Raises:
        UserError: a file is missing, unreadable or has changed.
    """
    for name, wanted in named.items():
        path = seal.with_name(name)
        if not path.is_file():
            raise damaged(path, f"no such file, but {seal.name} names it", remedy)
        try:
            digest = (hashes or {}).get(name) or file_sha256(path)
        except OSError as error:
            raise damaged(path, f"cannot be read: {error.strerror or error}", remedy) from error
        if digest != wanted:
            raise damaged(path, f"is not the file that {seal.name} was written for", remedy)


def refuse_unsealed(paths: Iterable[Path], seal: Path, writer: str) -> None:
    """Raise UserError if files to be replaced were not written by this package.

    Args:
        paths: paths of the files to write.
        seal: seal of an earlier call's files; it may be missing. A damaged one, or one of a version
            that named no files, still proves that this package wrote them.
        writer: the command.
    """
    named = None
    if seal.is_file():
        try:
            named = read_seal(seal, "")
        except UserError:
            return
    for path in paths:
        if (path.exists() or path.is_symlink()) and path.name not in (named or ()):
            raise UserError(
                f"{path}: is there already, and {seal.name} does not name it, so {writer} did not "
                "write it; move it away, or choose another --output"
            )
