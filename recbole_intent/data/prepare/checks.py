"""Checks of raw data before training; each error names the line."""

import numpy as np
import pandas as pd

from recbole_intent.data.formats.atomic_tables import no_ids, why_no_id
from recbole_intent.data.sources.raw import RawData
from recbole_intent.utils.errors import UserError

KEY = ("user_id", "item_id", "timestamp", "position")


def check_ids(raw: RawData) -> None:
    """Check that all ids are valid for a run's reader: see `atomic_tables.no_ids`.

    Raises:
        UserError: naming the first line with an invalid id.
    """
    if raw.interactions.empty:
        raise UserError(f"{raw.files[0]}: no interactions below its header; fetch the file again")
    for column in ("user_id", "item_id"):
        ids = raw.interactions[column].cat
        bad = no_ids(pd.Series(ids.categories))
        if bad.any():
            row = int(bad[ids.codes].argmax())
            why = why_no_id(str(raw.interactions[column].iloc[row]))
            raise UserError(f"{raw.place(row)}: {column} {why}")


def check_times(raw: RawData) -> None:
    """Check that every interaction has a time, or that its user has only positions.

    Raises:
        UserError: naming the first line without a time.
    """
    frame = raw.interactions
    empty = frame["timestamp"].isna().to_numpy()
    if "position" in frame and empty.any():
        users = frame["user_id"].cat.codes.to_numpy()
        timed = np.bincount(users[~empty], minlength=users.max() + 1) > 0
        empty = empty & timed[users]  # users with only positions are valid
    if empty.any():
        row = int(empty.argmax())
        raise UserError(
            f"{raw.place(row)}: the time of user {frame['user_id'].iloc[row]!r} is empty "
            f"({int(empty.sum())} such lines); give it, remove the lines, or give a position to "
            "every interaction and leave all times of that user empty"
        )


def duplicates(raw: RawData) -> np.ndarray:
    """Mark the rows that repeat an earlier one: same user, item, time and position.

    Returns:
        Boolean array, one per interaction. The same item at another time is not a duplicate.
    """
    frame = raw.interactions
    codes = {
        name: frame[name].cat.codes if frame[name].dtype == "category" else frame[name]
        for name in KEY
        if name in frame
    }
    return pd.DataFrame(codes).duplicated().to_numpy()


def check_no_duplicates(raw: RawData, repeated: np.ndarray) -> None:
    """Check that no row repeats an earlier one.

    Raises:
        UserError: naming the first line that does.
    """
    if repeated.any():
        row = int(repeated.argmax())
        user, item = raw.interactions[["user_id", "item_id"]].iloc[row]
        raise UserError(
            f"{raw.place(row)}: repeats an earlier line (user {user!r}, item {item!r}, same time; "
            f"{int(repeated.sum())} such lines); add --drop_duplicates to drop the repeats"
        )


def check_items_known(raw: RawData) -> None:
    """Check that the items file, if there is one, has every item of the interactions.

    Raises:
        UserError: naming the first missing item.
    """
    if raw.items is None:
        return
    items = raw.interactions["item_id"].cat.remove_unused_categories().cat.categories
    unknown = items[~items.isin(raw.items["item_id"])]  # by hash: numpy's isin compares all pairs
    if len(unknown):
        row = int((raw.interactions["item_id"] == unknown[0]).to_numpy().argmax())
        raise UserError(
            f"{raw.items_file}: lacks {len(unknown)} of {len(items)} items of the interactions, "
            f"such as {unknown[0]!r} ({raw.place(row)}); add --fill_items to give them empty "
            "text, or --drop_without_text to drop them"
        )


def check_lengths(raw: RawData) -> None:
    """Check that every user has at least two interactions: one to learn from, one to predict.

    Raises:
        UserError: naming the first user with one.
    """
    users = raw.interactions["user_id"].cat.codes.to_numpy()
    lone = (np.bincount(users) == 1)[users]
    if lone.any():
        row = int(lone.argmax())
        raise UserError(
            f"{raw.place(row)}: user {raw.interactions['user_id'].iloc[row]!r} has only one item "
            f"({int(lone.sum())} such users), which makes no sequence; add --k_core=2 or more"
        )
