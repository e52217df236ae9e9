"""Amazon Reviews 2023 as CSV: `user_id,parent_asin,rating,timestamp[,history]`, times in ms.

It reads the official `rating_only` file and the `last_out` and `timestamp` splits, whose three
files hold every interaction exactly once (`history` only repeats earlier rows). Item text comes
from `meta_*.jsonl(.gz)` next to them.

Source: Hou et al., "Bridging Language and Items for Retrieval and Recommendation", 2024;
https://amazon-reviews-2023.github.io
"""

import re
from pathlib import Path

import pandas as pd
from pandas.api.types import union_categoricals

from recbole_intent.data.sources import amazon, tabular
from recbole_intent.data.sources.raw import RawData
from recbole_intent.data.sources.reading import files_in, first_line, header_of
from recbole_intent.utils.errors import UserError

FORM = "Amazon 2023 CSV (user_id,parent_asin,rating,timestamp; also train/valid/test files)"
# Equal times keep file order, so the parts of a split must be read in chronological order.
PARTS = ("train", "valid", "test")
COLUMNS = amazon.COLUMNS
MS_PER_SECOND = 1000


def recognises(path: Path, columns: dict[str, str]) -> bool:
    """Whether a CSV file names `parent_asin` in its first line."""
    return bool(_ratings(path))


def read(path: Path, columns: dict[str, str]) -> RawData:
    """Read all rating files of a file or folder, in the order train, valid, test.

    Raises:
        UserError: a split is incomplete or mixed with whole files, a column is missing or a value
            is not a number.
    """
    files = _ratings(path)
    parts = [_part(file) for file in files]
    if len(files) > 1 and sorted(map(str, parts)) != sorted(PARTS):
        raise UserError(
            f"{path}: {', '.join(file.name for file in files)} are no train, valid and test file "
            "of one split; keep one rating file or all three of one split"
        )
    files.sort(key=lambda file: PARTS.index(_part(file)) if _part(file) else 0)
    columns = {"item_id": "parent_asin", **columns}
    frames = [
        tabular.interactions_of(tabular.read_frame(file), file, columns, MS_PER_SECOND).assign(
            file=number
        )
        for number, file in enumerate(files)
    ]
    interactions = pd.concat([frame.drop(columns=["user_id", "item_id"]) for frame in frames])
    for key in ("user_id", "item_id"):
        interactions[key] = union_categoricals([frame[key] for frame in frames])
    meta = amazon.meta_file(path)
    items = None
    if meta is not None:
        items = amazon.read_items(meta, set(interactions["item_id"].cat.categories))
    return RawData(interactions, items, files, meta)


def _ratings(path: Path) -> list[Path]:
    return [
        file
        for file in files_in(path)
        if not first_line(file).startswith("{") and "parent_asin" in header_of(file, ",")
    ]


def _part(file: Path) -> str | None:
    match = re.search(rf"\b({'|'.join(PARTS)})\b", file.name)
    return match[1] if match else None
