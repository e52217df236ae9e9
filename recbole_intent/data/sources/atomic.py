"""RecBole's own atomic files: `<name>.inter`, `.item`, `.user`, tab-separated, typed header.

All columns are copied with their types. Format: https://recbole.io/docs/user_guide/data/
"""

import re
from pathlib import Path

import pandas as pd

from recbole_intent.data.formats.atomic_tables import check_form
from recbole_intent.data.sources.raw import TYPES, RawData
from recbole_intent.data.sources.reading import (
    files_in,
    first_line,
    header_of,
    numbers,
    read_table,
    require,
)
from recbole_intent.data.sources.times import in_seconds
from recbole_intent.utils.errors import UserError

FORM = "RecBole's atomic files (.inter, with .item and .user beside it)"
COLUMNS = frozenset(TYPES)
TEXT = COLUMNS - {"user_id", "item_id", "timestamp", "rating"}
TYPED = re.compile(r"[^:\t]+:(token|token_seq|float|float_seq)")


def recognises(path: Path, columns: dict[str, str]) -> bool:
    """Whether a `.inter` file has a header of `name:type` fields."""
    return bool(_files(path, ".inter"))


def read(path: Path, columns: dict[str, str]) -> RawData:
    """Read `.inter`, and `.item` and `.user` if the folder has them.

    Raises:
        UserError: a column is missing, a value is not a number, or several files are possible.
    """
    files = _files(path, ".inter")
    if len(files) > 1:
        raise UserError(
            f"{path}: {files[0].name} and {files[1].name} both hold interactions; give the right "
            "one by --source=FILE"
        )
    file = files[0]
    types: dict[str, str] = {}
    interactions = _read(file, columns, types, ("user_id", "item_id", "timestamp"))
    interactions["timestamp"] = in_seconds(interactions["timestamp"], "timestamp")
    for key in ("user_id", "item_id"):
        interactions[key] = interactions[key].astype("category")
    tables = {}
    for suffix, key in ((".item", "item_id"), (".user", "user_id")):
        for other in _files(path, suffix)[:1]:
            needed = (key, *(set(columns) & TEXT)) if suffix == ".item" else (key,)
            tables[suffix] = (other, _read(other, columns, types, needed))
    items_file, items = tables.get(".item", (None, None))
    users = tables.get(".user", (None, None))[1]
    return RawData(interactions.assign(file=0), items, [file], items_file, users, types)


def _read(
    file: Path, columns: dict[str, str], types: dict[str, str], needed: tuple[str, ...]
) -> pd.DataFrame:
    ours = {theirs: name for name, theirs in columns.items()}
    header = [field.split(":") for field in header_of(file, "\t")]
    names = [name for name, _ in header]
    require(names, {key: columns.get(key, key) for key in needed}, file)
    types.update({ours.get(name, name): kind for name, kind in header})
    if not file.name.endswith(".gz"):
        check_form(file)
    frame = read_table(file, "\t", set())
    frame.columns = [ours.get(name, name) for name in names]
    for name, (_, kind) in zip(frame.columns, header, strict=True):
        if kind == "float" or name in ("timestamp", "rating"):
            frame[name] = numbers(frame[name], file, name)
    return frame


def _files(path: Path, suffix: str) -> list[Path]:
    return [
        file
        for file in files_in(path)
        if file.name.removesuffix(".gz").endswith(suffix)
        and all(TYPED.fullmatch(field) for field in first_line(file).split("\t"))
    ]
