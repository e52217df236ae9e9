"""Atomic writes of the table of recommendations as Parquet, CSV or JSON lines."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write

FORMATS = (".parquet", ".csv", ".jsonl")
_COLUMNS = ["history", "user_id", "rank", "item_id", "score", "source"]  # and optionally a title
_LONGEST_LINE = 10_000_000  # characters; a line of ours is shorter


def check_output(path: str | Path) -> None:
    """Check the path of the output file.

    Raises:
        UserError: the suffix is not one of `FORMATS`, or pyarrow is missing.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"--output={path}: its name must end in {', '.join(FORMATS)}")
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401 (checks that it is installed)
        except ImportError as error:
            raise UserError(
                f"--output={path}: pyarrow is not installed; pip install pyarrow, or write "
                ".csv or .jsonl"
            ) from error


def refuse_foreign_file(path: str | Path, is_ours: Callable[[Path], bool]) -> None:
    """Raise UserError unless a file is missing, empty, or written by this command.

    Args:
        path: the file.
        is_ours: inspects the file; an exception counts as False.
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
    except Exception as error:  # from any reader of the format
        raise refusal from error
    if not is_fit:
        raise refusal


def holds_recommendations(path: Path) -> bool:
    """Whether a file has the columns of `write_recommendations`."""
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
    """Whether a file was written by `--explain`."""
    with path.open(encoding="utf-8") as file:
        line = file.readline(_LONGEST_LINE)
    return list(json.loads(line)) == ["history", "user_id", "intents"]


def write_recommendations(path: str | Path, frames: Iterable[pd.DataFrame]) -> int:
    """Write frames with the same columns one by one, without keeping them in memory.

    Args:
        path: its suffix selects the format; an existing file is replaced when all is written.
        frames: at least one, which may be empty. If one raises, an existing file is unchanged.

    Returns:
        The number of rows.

    Raises:
        UserError: unknown suffix, no pyarrow, or the file cannot be written.
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
    # Not inferred from the first frame, which may have no user ids.
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
            # The digits of the float32, not those of its conversion to a double.
            columns["score"] = frame["score"].to_numpy().astype(str).astype(float).tolist()
            for values in zip(*columns.values(), strict=True):
                write_json_line(dict(zip(columns, values, strict=True)), file)
            rows += len(frame)
    return rows
