"""Tables: text with a header line, Parquet, MovieLens' own forms without one, and pandas' frames.

Interactions need a user, an item, and a time or `position` (0-based, chronological, per user);
`rating` is read if it exists. Times may be numbers in any unit or dates, and may be empty if there
is a position. Columns have our names or common aliases (`columns.ALIASES`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_intent.data.formats.ids import raw_id
from recbole_intent.data.sources.columns import MissingColumns, resolve
from recbole_intent.data.sources.parquet import parquet_columns, read_parquet
from recbole_intent.data.sources.raw import TYPES, RawData
from recbole_intent.data.sources.reading import (
    files_in,
    first_line,
    header_of,
    is_parquet,
    numbers,
    plain_numbers,
    read_table,
    require,
)
from recbole_intent.data.sources.times import seconds
from recbole_intent.utils.errors import UserError

FORM = (
    "tables with a header line or in Parquet (columns user_id, item_id, position or timestamp; "
    "userId, movieId … also), MovieLens' ratings.dat and u.data"
)
KEYS = ("user_id", "item_id", "timestamp", "position", "rating")
COLUMNS = frozenset(KEYS) | set(TYPES)
_SEPARATORS = ("\t", "::", ",", ";", "|")
# Preferred names among tables of interactions: others are tags or parts.
_USUAL_NAMES = r"(interactions|ratings|reviews)\.|u\.data$"
_GENRES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy "
    "Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller War Western"
).split()


@dataclass(frozen=True)
class Form:
    """The format of a table.

    Attributes:
        names: column names.
        separator: between fields; None for Parquet.
        has_header: the first line is a header.
    """

    names: tuple[str, ...]
    separator: str | None
    has_header: bool = True


def form_of(file: Path) -> Form | None:
    """Detect the format of a table from its beginning; None if it is not a table.

    MovieLens' files without a header are recognised by their fields: `user::item::rating::time`
    and the same with tabs, `item::title::genres`, and `u.item` with its 19 columns of genres.
    """
    if is_parquet(file):
        return Form(tuple(parquet_columns(file)), None)
    line = first_line(file)
    if line.lstrip()[:1] in ("{", "["):
        return None
    separator = next((s for s in _SEPARATORS[:2] if s in line), None)
    separator = separator or max(_SEPARATORS[2:], key=line.count)
    fields = line.split(separator)
    if separator in ("\t", "::") and len(fields) == 4 and _is_rating(fields):
        return Form(("user_id", "item_id", "rating", "timestamp"), separator, False)
    if separator == "::" and len(fields) == 3 and fields[0].isdecimal():
        return Form(("item_id", "title", "genres"), separator, False)
    if separator == "|" and len(fields) == 24 and {*fields[5:]} <= {"0", "1"}:
        names = ("item_id", "title", "release_date", "video_release_date", "url", *_GENRES)
        return Form(names, separator, False)
    return Form(tuple(header_of(file, separator)), separator)


def recognises(path: Path, columns: dict[str, str]) -> bool:
    """Whether a file has a user or item column, or another of our columns.

    A lone file of several columns counts too, so that missing columns can be named.
    """
    if path.is_file() and (form := form_of(path)) and len(form.names) > 2:
        return form.separator in (None, "\t") or not _is_lone_text(form)
    return any(_known(file, columns) for file in files_in(path))


def read(path: Path, columns: dict[str, str]) -> RawData:
    """Read the interactions table of a file or folder, and the items table next to it.

    Raises:
        UserError: a column is missing, a value is not a number, or several files are possible.
    """
    tables = [file for file in files_in(path) if (form := form_of(file)) and len(form.names) > 1]
    known = {file: _known(file, columns) for file in tables}
    file = _interactions_file(path, tables, known)
    items_file = _items_file(path, file, tables, known)
    interactions = interactions_of(read_frame(file), file, columns)
    items = None
    if items_file is not None:
        items = items_of(read_frame(items_file), items_file, columns)
    return RawData(interactions, items, [file], items_file)


def read_frames(
    interactions: pd.DataFrame, items: pd.DataFrame | None, columns: dict[str, str]
) -> RawData:
    """Convert pandas frames as `read` does files; a named index is a column too.

    Raises:
        UserError: as `read`, or an object that is not a frame.
    """
    places = (Path("interactions"), Path("items"))
    interactions = interactions_of(_of_pandas(interactions, places[0]), places[0], columns)
    if items is None:
        return RawData(interactions, None, [places[0]])
    items = items_of(_of_pandas(items, places[1]), places[1], columns)
    return RawData(interactions, items, [places[0]], places[1])


def read_frame(file: Path) -> pd.DataFrame:
    """All columns of a table, index = line number; as text, except for numbers of Parquet."""
    form = form_of(file)
    if form is None:
        raise UserError(f"{file}: not a table")
    if form.separator is None:
        return _of_pandas(read_parquet(file), file)
    frame = read_table(file, form.separator, set(), None if form.has_header else list(form.names))
    if not form.has_header and _GENRES[-1] in frame:
        frame["genres"] = [_genres(row) for row in frame[_GENRES].to_numpy()]
        return frame[["item_id", "title", "genres"]]
    return frame


def _genres(flags: Iterable[str]) -> str:
    return "|".join(name for name, flag in zip(_GENRES, flags, strict=True) if flag == "1")


def interactions_of(
    frame: pd.DataFrame, file: Path, columns: dict[str, str], per_second: float | None = None
) -> pd.DataFrame:
    """Convert a table of interactions to the columns of `RawData.interactions`.

    Args:
        frame: all columns, index = line number.
        file: its source, for errors.
        columns: our column name → its name in the frame, if they differ.
        per_second: the unit of its times, which must be numbers; None infers it from their size.

    Raises:
        UserError: a column is missing, or a value is not a valid id, number or time.
    """
    present = resolve(list(frame), columns, KEYS, file)
    needed = {"user_id", "item_id", *columns.keys() & set(KEYS)}
    if "position" not in present:
        needed.add("timestamp")
    missing = {key: columns.get(key, key) for key in KEYS if key in needed - set(present)}
    if missing:
        raise MissingColumns(file, list(frame), missing)
    interactions = pd.DataFrame(index=frame.index)
    for key in ("user_id", "item_id"):
        interactions[key] = _ids(frame[present[key]], file, key)
    if "timestamp" in present and per_second is not None:
        times = _numbers(frame[present["timestamp"]], file, "timestamp")
        interactions["timestamp"] = times / per_second
    elif "timestamp" in present:

        def place(row: int) -> str:
            return f"{file} line {frame.index[row]}"

        interactions["timestamp"] = seconds(frame[present["timestamp"]], place, "timestamp")
    else:
        interactions["timestamp"] = float("nan")
    if "position" in present:
        position = _numbers(frame[present["position"]], file, "position")
        interactions["position"] = _whole(position, file)
    if "rating" in present:
        interactions["rating"] = _numbers(frame[present["rating"]], file, "rating")
    return interactions.assign(file=0)


def items_of(frame: pd.DataFrame, file: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Convert a table of items, replacing common aliases by our names; see `tidy_items`.

    Raises:
        UserError: there is no item column, or a column named by the user is missing.
    """
    text = {ours: theirs for ours, theirs in columns.items() if ours not in KEYS}
    require(list(frame), text, file)
    present = resolve(list(frame), columns, ("item_id", "title", "categories"), file)
    if "item_id" not in present:
        raise MissingColumns(file, list(frame), {"item_id": columns.get("item_id", "item_id")})
    ours = {theirs: name for name, theirs in {**columns, **present}.items()}
    frame = frame.rename(columns=ours)
    frame["item_id"] = _ids(frame["item_id"], file, "item_id").astype(str)
    for name in frame.columns.difference(["item_id", "price"]):
        frame[name] = _texts(frame[name])
    if "genres" in (present.get("categories"), columns.get("categories")):
        frame["categories"] = frame["categories"].str.replace("|", " ; ", regex=False)
    return tidy_items(frame, file)


def tidy_items(items: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Normalise attribute lists and prices of an items table; a repeated item is an error.

    `attr_N` is an attribute whose name is lost, so it is meaningless as text and is left out.
    """
    twice = items["item_id"].duplicated().to_numpy()
    if twice.any():
        row = int(twice.argmax())
        raise UserError(
            f"{file} line {items.index[row]}: item {items['item_id'].iloc[row]!r} stands twice; "
            "remove one of its lines"
        )
    if "attributes" in items:
        items["attributes"] = [
            " ; ".join(name for name in text.split(" ; ") if not name.startswith("attr_"))
            for text in items["attributes"]
        ]
    if "price" in items:
        items["price"] = _numbers(items["price"], file, "price")
    return items


def _known(file: Path, columns: dict[str, str]) -> dict[str, str]:
    form = form_of(file)
    return resolve(form.names, columns, (*KEYS, "title"), file) if form else {}


def _is_lone_text(form: Form) -> bool:
    """Whether a file has commas but no named columns: prose, or a table of unknown columns.

    A name may be empty: pandas writes row numbers in a column without a name.
    """
    return not all(re.fullmatch(r"[\w .-]{0,40}", name) for name in form.names)


def _interactions_file(
    path: Path, tables: list[Path], known: Mapping[Path, dict[str, str]]
) -> Path:
    both = [file for file in tables if {"user_id", "item_id"} <= known[file].keys()]
    both = both or [file for file in tables if "user_id" in known[file]]
    if not tables:
        raise UserError(f"{path}: no table of two columns or more with the interactions")
    if not both:
        return tables[0]  # the error will report its missing columns
    rated = [file for file in both if "rating" in known[file]] or both
    usual = [file for file in rated if re.match(_USUAL_NAMES, file.name)]
    chosen = usual if len(rated) > 1 else rated
    if len(chosen) == 1:
        return chosen[0]
    raise UserError(
        f"{path}: {both[0].name} and {both[1].name} both hold interactions; "
        "give the right one by --source=FILE"
    )


def _items_file(
    path: Path, chosen: Path, tables: list[Path], known: Mapping[Path, dict[str, str]]
) -> Path | None:
    """The table of items; one with titles is preferred."""
    item_tables = [
        f for f in tables if f != chosen and "item_id" in known[f] and "user_id" not in known[f]
    ]
    titled = [file for file in item_tables if "title" in known[file]]
    if len(titled) > 1:
        raise UserError(
            f"{path}: {titled[0].name} and {titled[1].name} both describe items; keep one of them"
        )
    return next(iter(titled or item_tables), None)


def _is_rating(fields: list[str]) -> bool:
    """Whether the fields are MovieLens' `user, item, rating, seconds` rather than a header."""
    user, item, rating, time = fields
    is_plain = user.isdecimal() and item.isdecimal() and time.isdecimal()
    return is_plain and re.fullmatch(r"\d(\.\d)?|10", rating) is not None and int(time) >= 10**8


def _of_pandas(frame: Any, file: Path) -> pd.DataFrame:
    """Convert any frame to pandas, with text column names and lines numbered from 1."""
    if hasattr(frame, "to_pandas"):  # polars, pyarrow
        frame = frame.to_pandas()
    if not isinstance(frame, pd.DataFrame):
        raise UserError(f"{file}: a table is needed, found {type(frame).__name__}")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{file}: the column {twice[0]!r} stands twice; rename one of them")
    return frame.set_axis(names, axis=1).set_axis(pd.RangeIndex(1, 1 + len(frame)))


def _ids(values: pd.Series, file: Path, column: str) -> pd.Series:
    """Ids of any kind as categories of strings; missing ones are empty."""
    try:
        codes, names = pd.factorize(values, use_na_sentinel=True)
    except TypeError as error:  # lists are not hashable
        unhashable = next(value for value in values if getattr(value, "__hash__", None) is None)
        raise UserError(
            f"{file}: {column}: value {str(unhashable)[:40]!r} is not an id; give one row per "
            "interaction"
        ) from error
    texts: dict[str, int] = {}
    number_of = []
    for name in names.tolist():
        place = f"{file}: {column}"
        number_of.append(texts.setdefault(raw_id(name, place, "value"), len(texts)))
    number_of.append(texts.setdefault("", len(texts)) if (codes < 0).any() else -1)
    categories = pd.Categorical.from_codes(np.array(number_of)[codes], list(texts))
    return pd.Series(categories, values.index)


def _numbers(values: pd.Series, file: Path, column: str) -> pd.Series:
    plain = plain_numbers(values)
    return numbers(_texts(values), file, column) if plain is None else plain


def _texts(values: pd.Series) -> pd.Series:
    """Values as strings, empty if missing; lists of strings are joined by ` ; `."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)

    if isinstance(values.dtype, pd.StringDtype) and not values.hasnans:
        return values.astype(object)

    def text(value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, list | tuple | set) or getattr(value, "ndim", False):
            return " ; ".join(map(str, value))
        return "" if value is None or value is pd.NA or value != value else str(value)

    return pd.Series([text(value) for value in values.tolist()], values.index, dtype=object)


def _whole(values: pd.Series, file: Path) -> pd.Series:
    bad = (values.isna() | (values % 1 != 0)).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{file} line {values.index[row]}: position is empty or no whole number; every "
            "interaction needs one"
        )
    return values.astype("int64")
