"""Parses requests for recommendations: user ids and histories as Python objects.

Ids are text in a dataset. Anything that is not a list of ids, or not a list of histories, raises an
error that shows the right form; strings need this check, because they are sequences too.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recbole_intent.data.formats.ids import raw_id, shown
from recbole_intent.data.sources.times import seconds
from recbole_intent.utils.errors import UserError


@dataclass(frozen=True)
class History:
    """The items that one person has chosen so far.

    Attributes:
        items: raw item ids, oldest first.
        user: a label for the person; None if there is none.
    """

    items: list[str]
    user: str | None = None


@dataclass(frozen=True)
class Columns:
    """The dataset's names for the columns of a table of histories."""

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"


def ids_of(users: Any, columns: Columns | None = None) -> Iterator[str]:
    """Yield user ids from a list, tuple, array, Series, generator or a table's user column.

    Raises:
        UserError: a single id, or an object without ids; the message gives the right form.
    """
    columns = columns or Columns()
    users = _plain(users)
    if isinstance(users, pd.DataFrame):
        table = _named(users)
        if columns.user not in table:
            raise UserError(f"users: the table has no column {columns.user!r} ({_names(table)})")
        users = table[columns.user].drop_duplicates()
    if not _is_sequence(users):
        hint = f"; write [{shown(users)}]" if _is_id(users) else ""
        raise UserError(f"users: {shown(users)} is not a list of user ids{hint}")
    return (raw_id(user, f"users: number {n}", "user") for n, user in enumerate(users, start=1))


def histories_of(histories: Any, columns: Columns | None = None) -> Iterator[History]:
    """Yield histories from any of the supported forms.

    Args:
        histories: a list (or array, Series, generator …) of histories; a mapping of users to
            histories, or a Series whose named index is the users; or a table with one row per
            interaction, which is sorted by user, in order of appearance, and by time if it has
            times. A history is a list of item ids, a `History` or `{"user": "u", "items":
            ["i1", "i2"]}`; `[]` is an empty one.
        columns: the dataset's names for the table's columns.

    Raises:
        UserError: a flat list of ids, a string, or any other object that is not histories.
    """
    histories = _plain(histories)
    if isinstance(histories, pd.DataFrame):
        return _of_table(histories, columns or Columns())
    if isinstance(histories, pd.Series) and histories.index.name is not None:
        histories = dict(histories.items())  # as of `groupby(user)[item].agg(list)`
    if isinstance(histories, Mapping):
        columns = columns or Columns()
        if {columns.user, columns.item} <= set(histories):
            raise UserError(
                f"histories: a mapping of columns, with {columns.user} and {columns.item}; "
                "make a table of it: pandas.DataFrame(…)"
            )
        if "items" in histories:
            raise UserError(f"histories: {shown(histories)} is a single one; put it in a list")
        return (
            history_of({"user": user, "items": items}, f"history of {shown(user)}")
            for user, items in histories.items()
        )
    if not _is_sequence(histories):
        hint = f"; write [[{shown(histories)}]]" if _is_id(histories) else ""
        raise UserError(f"histories: {shown(histories)} is not a list of histories{hint}")
    return (history_of(value, f"history {n}") for n, value in enumerate(histories, start=1))


def history_of(value: Any, where: str) -> History:
    """Parse one history in any of the forms listed in `histories_of`.

    Raises:
        UserError: an unsupported form; the message begins with `where`.
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
        hint = f"; write [[{shown(value)}]]" if _is_id(value) else "; an empty one is []"
        raise UserError(f"{where}: expected a list of item ids, found {kind}{shown(value)}{hint}")
    return History([raw_id(item, where, "item") for item in value], user)


def _of_table(table: pd.DataFrame, columns: Columns) -> Iterator[History]:
    table = _named(table)
    missing = [name for name in (columns.user, columns.item) if name not in table]
    if missing:
        raise UserError(
            f"histories: the table has no column {' and no '.join(map(repr, missing))} "
            f"({_names(table)}); a table has a row an interaction"
        )
    users = table[columns.user].unique()  # in the table's original order
    if columns.time in table:
        when = seconds(table[columns.time], lambda row: f"histories: row {row + 1}", columns.time)
        if when.isna().any():
            row = int(when.isna().to_numpy().argmax())
            raise UserError(f"histories: row {row + 1}: {columns.time} is empty")
        table = table.iloc[np.argsort(when.to_numpy(), kind="stable")]
    of_user: dict[str, list[str]] = {raw_id(user, "histories", columns.user): [] for user in users}
    for user, item in zip(table[columns.user], table[columns.item], strict=True):
        of_user[raw_id(user, "", "")].append(
            raw_id(item, f"history of {shown(user)}", columns.item)
        )
    return (History(items, user) for user, items in of_user.items())


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the type suffixes of atomic-file headers (`item_id:token`)."""
    names = [str(name).partition(":")[0] for name in table.columns]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"the table has two columns {name!r}; rename one of them")
    return table.set_axis(names, axis=1)


def _names(table: pd.DataFrame) -> str:
    return f"it has {', '.join(map(str, table.columns[:12]))}"


def _plain(value: Any) -> Any:
    """Convert tables and tensors of other libraries to pandas and numpy."""
    if hasattr(value, "to_pandas"):  # polars, pyarrow
        return value.to_pandas()
    if hasattr(value, "detach"):  # torch
        return value.detach().cpu().numpy()
    return value


def _is_sequence(value: Any) -> bool:
    is_text = isinstance(value, str | bytes | bytearray)
    has_places = getattr(value, "ndim", 1) > 0  # numpy's scalars claim to be iterable
    return isinstance(value, Iterable) and not is_text and has_places


def _is_id(value: Any) -> bool:
    try:
        raw_id(value, "", "")
    except UserError:
        return False
    return True
