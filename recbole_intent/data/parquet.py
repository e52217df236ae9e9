"""Parquet files as tables; needs pyarrow."""

from pathlib import Path

import pandas as pd

from recbole_intent.errors import UserError
from recbole_intent.parsing import opened_file, reason_of


def read_parquet(path: str | Path) -> pd.DataFrame:
    """The table of a Parquet file.

    Raises:
        UserError: pyarrow is missing, or the file is damaged or cannot be read.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(
            f"{path}: pyarrow is not installed; pip install pyarrow, or give a .csv file"
        ) from error
    with opened_file(path) as file:
        try:
            return pd.read_parquet(file, engine="pyarrow")
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(f"{path}: not a readable Parquet file: {reason_of(error)}") from error
