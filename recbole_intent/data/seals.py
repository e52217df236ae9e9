"""Seals: the hashes that `prepare` and `enrich` leave with their files, checked by every reader.

A seal is renamed into its place before the files that it names. So whatever moment a process is
killed at, a mixture of old and new files does not match the seal.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from recbole_intent.errors import UserError
from recbole_intent.files import file_sha256
from recbole_intent.own_files import checked, damaged, read_json

SHA256 = "sha256"  # key of a seal: file name -> hash


def prepared_path(folder: str | Path, dataset: str) -> Path:
    """Where the seal of a dataset's atomic files lies."""
    return Path(folder) / f"{dataset}.prepared.json"


def hash_inputs(folder: str | Path, dataset: str, files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of atomic files by name, after a check against the seal of `prepare`.

    A dataset without a seal was written by hand, and only hashed.

    Args:
        folder: of the dataset.
        dataset: its name.
        files: that are read.

    Raises:
        UserError: the seal is damaged, or a file that it names is absent or another one.
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
    """File name -> hash of a seal.

    Raises:
        UserError: it is not readable, or names no file.
    """
    named = read_json(seal, {SHA256: dict}, remedy)[SHA256]
    checked(seal, named, dict.fromkeys(named, str), remedy)
    if not named or any("/" in name for name in named):
        raise damaged(seal, "names no files beside it", remedy)
    return named


def check_seal(
    seal: Path, named: Mapping[str, str], remedy: str, hashes: Mapping[str, str] | None = None
) -> None:
    """Compare the files beside a seal with what it says of them.

    Args:
        seal: its path.
        named: file name -> hash, as it says.
        remedy: what helps.
        hashes: of files that are hashed already.

    Raises:
        UserError: a file is absent, unreadable or another one.
    """
    for name, wanted in named.items():
        path = seal.with_name(name)
        if not path.is_file():
            raise damaged(path, f"no such file, but {seal.name} names it", remedy)
        try:
            found = (hashes or {}).get(name) or file_sha256(path)
        except OSError as error:
            raise damaged(path, f"cannot be read: {error.strerror or error}", remedy) from error
        if found != wanted:
            raise damaged(path, f"is not the file that {seal.name} was written for", remedy)


def refuse_unsealed(paths: Iterable[Path], seal: Path, writer: str) -> None:
    """Raise UserError where files that are to be replaced were not written by us.

    Args:
        paths: of the files to write.
        seal: of the files of an earlier call; it need not be there. A damaged one, or one of a
            version that named no files, still says that they are ours.
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
