"""The table of recommendations as a file: Parquet, CSV or JSON lines, whole or not there."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from recbole_intent.errors import UserError
from recbole_intent.files import atomic_write

FORMATS = (".parquet", ".csv", ".jsonl")
_COLUMNS = ["history", "user_id", "rank", "item_id", "score", "source"]  # a title may be there
_LONGEST_LINE = 10_000_000  # characters; a line of ours is shorter


def check_output(path: str | Path) -> None:
    """Look at where recommendations are to go.

    Raises:
        UserError: the name does not say one of the `FORMATS`, or pyarrow is missing.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"--output={path}: its name must end in {', '.join(FORMATS)}")
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401 (only asked whether it is there)
        except ImportError as error:
            raise UserError(
                f"--output={path}: pyarrow is not installed; pip install pyarrow, or write "
                ".csv or .jsonl"
            ) from error


def refuse_foreign_file(path: str | Path, is_ours: Callable[[Path], bool]) -> None:
    """Raise UserError unless a file may be written: it is absent, empty, or one of ours.

    Args:
        path: of the file.
        is_ours: looks into it; what it raises means no.
    """
    path = Path(path)
    if not (path.exists() or path.is_symlink()):
        return
    refusal = UserError(
        f"{path}: is there already and was not written by this command; move it away, or "
        "give another name"
    )
    try:
        is_fit = path.is_file() and (path.stat().st_size == 0 or is_ours(path))
    except Exception as error:  # of whatever reads the format
        raise refusal from error
    if not is_fit:
        raise refusal


def holds_recommendations(path: Path) -> bool:
    """Whether a file, by the columns in it, is one of `write_recommendations`."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        from pyarrow.parquet import read_schema

        names = read_schema(path).names
    else:
        with path.open(encoding="utf-8") as file:
            line = file.readline(_LONGEST_LINE)
        names = list(json.loads(line)) if suffix == ".jsonl" else line.rstrip("\n").split(",")
    return [name for name in names if name != "title"] == _COLUMNS


def holds_explanations(path: Path) -> bool:
    """Whether a file is one of `--explain`."""
    with path.open(encoding="utf-8") as file:
        line = file.readline(_LONGEST_LINE)
    return list(json.loads(line)) == ["history", "user_id", "intents"]


def write_recommendations(path: str | Path, frames: Iterable[pd.DataFrame]) -> int:
    """Write frames of the same columns one after the other, without keeping them.

    Args:
        path: its ending chooses the form; an older file is replaced when all is written.
        frames: at least one, which may be empty. What they raise leaves an older file as it was.

    Returns:
        The number of rows.

    Raises:
        UserError: another ending, no pyarrow, or the file cannot be written.
    """
    check_output(path)
    suffix = Path(path).suffix.lower()
    write = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_json_lines}[suffix]
    with atomic_write(path) as temporary:
        return write(temporary, frames)


def write_json_line(value: Mapping[str, Any], file: TextIO) -> None:
    """Write one value as a line of JSON."""
    file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def _write_parquet(path: Path, frames: Iterable[pd.DataFrame]) -> int:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    kinds = {"history": pyarrow.int64(), "rank": pyarrow.int64(), "score": pyarrow.float32()}
    frames, rows = iter(frames), 0
    frame = next(frames)
    # Not guessed from the first frame, which may hold no user id at all.
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in frame])
    with ParquetWriter(path, schema) as writer:
        while frame is not None:
            table = pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False)
            writer.write_table(table)
            rows += len(frame)
            frame = next(frames, None)
    return rows


def _write_csv(path: Path, frames: Iterable[pd.DataFrame]) -> int:
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, frame in enumerate(frames):
            frame.to_csv(file, index=False, header=number == 0, lineterminator="\n")
            rows += len(frame)
    return rows


def _write_json_lines(path: Path, frames: Iterable[pd.DataFrame]) -> int:
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        for frame in frames:
            plain = frame.astype(object).where(frame.notna(), None)
            columns = {name: plain[name].tolist() for name in plain}
            # The digits of a float32, not those of the double that JSON would make of it.
            columns["score"] = frame["score"].to_numpy().astype(str).astype(float).tolist()
            for values in zip(*columns.values(), strict=True):
                write_json_line(dict(zip(columns, values, strict=True)), file)
            rows += len(frame)
    return rows
