"""Reads Parquet files as tables; requires pyarrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import opened_file, reason_of


def read_parquet(path: str | Path) -> pd.DataFrame:
    """Read a Parquet file as a table.

    Raises:
        UserError: pyarrow is missing, or the file is damaged or cannot be read.
    """
    with _opened(path) as file:
        return pd.read_parquet(file, engine="pyarrow")


def parquet_columns(path: str | Path) -> list[str]:
    """The column names of a Parquet file; raises as `read_parquet`."""
    with _opened(path) as file:
        from pyarrow.parquet import read_schema

        return list(read_schema(file).names)


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(
            f"{path}: pyarrow is not installed; pip install pyarrow, or give a .csv file"
        ) from error
    with opened_file(path) as file:
        try:
            yield file
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(f"{path}: not a readable Parquet file: {reason_of(error)}") from error
