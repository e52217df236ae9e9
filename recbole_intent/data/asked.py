"""What recommendations are asked for, in the forms that Python has: ids and histories of ids.

Ids are text in a dataset. Whatever is no list of ids, or no list of histories, is an error that
shows the right form: a string is a sequence too, and so is each of its letters.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recbole_intent.data.times import seconds
from recbole_intent.errors import UserError
from recbole_intent.parsing import is_text


@dataclass(frozen=True)
class History:
    """What one person has chosen so far.

    Attributes:
        items: raw item ids, the oldest first.
        user: a name to find the person by; None where there is none.
    """

    items: list[str]
    user: str | None = None


@dataclass(frozen=True)
class Columns:
    """The dataset's names of the columns that a table of histories has."""

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"


def raw_id(value: Any, where: str, name: str) -> str:
    """An id as the dataset writes it.

    Args:
        value: a string, or a whole number of any kind (`5`, `5.0`, `numpy.int64(5)`).
        where: the place of it, for the error: `history 2`.
        name: what it is the id of.

    Raises:
        UserError: it is neither.
    """
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a scalar of numpy or torch
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and is_text(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    raise UserError(f"{where}: {name} {_shown(value)} is no id; ids are strings or whole numbers")


def ids_of(users: Any, columns: Columns | None = None) -> Iterator[str]:
    """User ids of a list, tuple, array, Series, generator or a table's user column, one by one.

    Raises:
        UserError: a single id, or what holds no ids; says what to write instead.
    """
    columns = columns or Columns()
    users = _plain(users)
    if isinstance(users, pd.DataFrame):
        table = _named(users)
        if columns.user not in table:
            raise UserError(f"users: the table has no column {columns.user!r} ({_names(table)})")
        users = table[columns.user].drop_duplicates()
    if not _is_sequence(users):
        hint = f"; write [{_shown(users)}]" if _is_id(users) else ""
        raise UserError(f"users: {_shown(users)} is no list of user ids{hint}")
    return (raw_id(user, f"users: number {n}", "user") for n, user in enumerate(users, start=1))


def histories_of(histories: Any, columns: Columns | None = None) -> Iterator[History]:
    """Histories in any of the forms that people have them in, one by one.

    Args:
        histories: a list (or array, Series, generator …) of histories; a mapping of users to
            histories; or a table with a row an interaction, sorted here by user, in order of
            appearance, and by time where it has times. A history is a list of item ids, a
            `History` or `{"user": "u", "items": ["i1", "i2"]}`; `[]` is an empty one.
        columns: the dataset's names of the table's columns.

    Raises:
        UserError: a flat list of ids, a string, or whatever else holds no histories.
    """
    histories = _plain(histories)
    if isinstance(histories, pd.DataFrame):
        return _of_table(histories, columns or Columns())
    if isinstance(histories, Mapping):
        if "items" in histories:
            raise UserError(f"histories: {_shown(histories)} is a single one; put it in a list")
        return (
            history_of({"user": user, "items": items}, f"history of {_shown(user)}")
            for user, items in histories.items()
        )
    if not _is_sequence(histories):
        hint = f"; write [[{_shown(histories)}]]" if _is_id(histories) else ""
        raise UserError(f"histories: {_shown(histories)} is no list of histories{hint}")
    return (history_of(value, f"history {n}") for n, value in enumerate(histories, start=1))


def history_of(value: Any, where: str) -> History:
    """One history in any of the forms that `histories_of` lists.

    Raises:
        UserError: it has none of them; begins with `where`.
    """
    user = None
    if isinstance(value, History):
        value = {"user": value.user, "items": value.items}
    if isinstance(value, Mapping):
        for key in value:
            if key not in ("user", "items"):
                raise UserError(f"{where}: {key!r}: unknown key; known are user and items")
        if "items" not in value:
            raise UserError(f"{where}: lacks `items`, a list of item ids")
        if value.get("user") is not None:
            user = raw_id(value["user"], where, "user")
        value = value["items"]
    value = _plain(value)
    if isinstance(value, set | frozenset):
        raise UserError(f"{where}: a set has no order; give a list, the oldest item first")
    if not _is_sequence(value) or isinstance(value, Mapping | pd.DataFrame):
        kind = "" if value is None else f"{type(value).__name__} "
        hint = f"; write [[{_shown(value)}]]" if _is_id(value) else "; an empty one is []"
        raise UserError(f"{where}: expected a list of item ids, found {kind}{_shown(value)}{hint}")
    return History([raw_id(item, where, "item") for item in value], user)


def _of_table(table: pd.DataFrame, columns: Columns) -> Iterator[History]:
    table = _named(table)
    missing = [name for name in (columns.user, columns.item) if name not in table]
    if missing:
        raise UserError(
            f"histories: the table has no column {' and no '.join(map(repr, missing))} "
            f"({_names(table)}); a table has a row an interaction"
        )
    users = table[columns.user].unique()  # in the order of the table as it is given
    if columns.time in table:
        when = seconds(table[columns.time], lambda row: f"histories: row {row + 1}", columns.time)
        if when.isna().any():
            row = int(when.isna().to_numpy().argmax())
            raise UserError(f"histories: row {row + 1}: {columns.time} is empty")
        table = table.iloc[np.argsort(when.to_numpy(), kind="stable")]
    of_user: dict[str, list[str]] = {raw_id(user, "histories", columns.user): [] for user in users}
    for user, item in zip(table[columns.user], table[columns.item], strict=True):
        of_user[raw_id(user, "", "")].append(
            raw_id(item, f"history of {_shown(user)}", columns.item)
        )
    return (History(items, user) for user, items in of_user.items())


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the types that headers of atomic files carry (`item_id:token`)."""
    names = [str(name).partition(":")[0] for name in table.columns]
    return table.set_axis(names, axis=1)


def _names(table: pd.DataFrame) -> str:
    return f"it has {', '.join(map(str, table.columns[:12]))}"


def _plain(value: Any) -> Any:
    """Tables and tensors of other libraries as those of pandas and numpy."""
    if hasattr(value, "to_pandas"):  # polars, pyarrow
        return value.to_pandas()
    if hasattr(value, "detach"):  # torch
        return value.detach().cpu().numpy()
    return value


def _is_sequence(value: Any) -> bool:
    is_text = isinstance(value, str | bytes | bytearray)
    has_places = getattr(value, "ndim", 1) > 0  # numpy's scalars say that they are iterable
    return isinstance(value, Iterable) and not is_text and has_places


def _is_id(value: Any) -> bool:
    try:
        raw_id(value, "", "")
    except UserError:
        return False
    return True


def _shown(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # a number of more digits than Python writes
        text = "a number of too many digits"
    return text if len(text) <= 60 else f"{text[:57]}…"
