"""The in-memory form of raw data from every source."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

# RecBole's feature types of the columns that we name; all others are text.
TYPES = {
    "user_id": "token",
    "item_id": "token",
    "rating": "float",
    "timestamp": "float",
    "title": "token_seq",
    "brand": "token",
    "categories": "token_seq",
    "price": "float",
    "description": "token_seq",
    "attributes": "token_seq",
}


@dataclass
class RawData:
    """Interactions, items and users of a source, not yet filtered, checked or sorted.

    Attributes:
        interactions: one row per interaction, in file order, index = line number in its file
            (1-based). `user_id` and `item_id` are categories of strings; `timestamp` float64
            seconds, NaN = empty; `rating` float64 and `position` int64 (0-based, per user) if
            the source has them; `file` is the index into `files`; further columns are copied.
        items: one row per item: `item_id` and text columns, or None if the source has none.
        users: one row per user: `user_id` and further columns, or None.
        files: the files that interactions were read from.
        items_file: the file that items were read from.
        types: column → RecBole feature type, if it differs from `TYPES`.
    """

    interactions: pd.DataFrame
    items: pd.DataFrame | None
    files: list[Path]
    items_file: Path | None = None
    users: pd.DataFrame | None = None
    types: dict[str, str] = field(default_factory=dict)

    def place(self, row: int) -> str:
        """File and line of a row of `interactions` (0-based)."""
        file = self.files[int(self.interactions["file"].iloc[row])]
        return f"{file} line {self.interactions.index[row]}"

    def type_of(self, column: str) -> str:
        """The RecBole feature type of a column: token, token_seq, float or float_seq."""
        return self.types.get(column) or TYPES.get(column, "token_seq")
