"""Replaces users by sessions for `prepare --sessions`, and reads and writes the split files."""

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_intent.data.formats.atomic_tables import read_atomic, read_header
from recbole_intent.data.prepare.order import without_time
from recbole_intent.data.prepare.sessions import PARTS, SessionOptions, Sessions, make_sessions
from recbole_intent.data.sources.raw import RawData
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import printable

SPLIT_COLUMNS = ("user_id", "part")


def cut_into_sessions(raw: RawData, options: SessionOptions) -> tuple[Sessions, int]:
    """Replace the interactions, in place, with those of sessions `<user>#<number>`.

    Args:
        raw: its interactions filtered, checked and in order.
        options: lengths and gap.

    Returns:
        The sessions, and the number of users dropped because they have an order but no times.

    Raises:
        UserError: no user has times, or a split has no sessions.
    """
    frame = raw.interactions
    users, items = (frame[key].cat.codes.to_numpy() for key in ("user_id", "item_id"))
    times = frame["timestamp"].to_numpy()
    timeless = frame["timeless"].to_numpy() | without_time(users, times)
    if timeless.all():
        raise UserError(
            f"{raw.files[0]}: no user has times, only an order; sessions are shared out by time, "
            "so leave --sessions away"
        )
    timed = np.flatnonzero(~timeless)
    try:
        sessions = make_sessions(users[timed], items[timed], times[timed], options)
    except UserError as error:
        raise UserError(f"{raw.files[0]}: {error}") from error
    names = frame["user_id"].cat.categories[sessions.user]
    ids = [f"{name}#{number}" for name, number in zip(names, sessions.number, strict=True)]
    raw.interactions = frame.iloc[timed[sessions.event]].assign(
        user_id=pd.Categorical.from_codes(sessions.session, categories=ids)
    )
    raw.users = None  # sessions are anonymous
    return sessions, len(np.unique(users[timeless]))


def split_table(raw: RawData, sessions: Sessions) -> pd.DataFrame:
    """The split of each session, in the order of the .inter file."""
    raw.types["part"] = "token"
    ids = raw.interactions["user_id"].cat.categories
    columns = (ids, np.array(PARTS)[sessions.part])
    return pd.DataFrame(dict(zip(SPLIT_COLUMNS, columns, strict=True)))


def properties_text(dataset: str, options: SessionOptions) -> str:
    """The YAML file next to the atomic files, with properties that make a run follow the split."""
    return (
        f"# Written by prepare. The users are sessions; {printable(dataset)}.split names the part "
        "of each.\n"
        "session_split: True\n"
        f"MAX_ITEM_LIST_LENGTH: {options.max_session_length}\n"
    )


def read_split(path: Path, separator: str) -> pd.Series:
    """Read a split file: session id -> train, valid or test.

    Raises:
        UserError: the file is missing, has other columns, repeats a session, or names another
            split; the message names the line.
    """
    wanted = dict.fromkeys(SPLIT_COLUMNS, "token")
    if not path.is_file():
        raise UserError(
            f"{path}: no such file, but session_split: True reads it; `prepare --sessions=…` "
            "writes it"
        )
    types = read_header(path, separator)
    if types != wanted:
        columns = [f"{name}:{kind}" for name, kind in types.items()]
        raise UserError(
            f"{path}:1: the columns are {', '.join(columns)}, not user_id:token, part:token"
        )
    frame = read_atomic(path, ids=SPLIT_COLUMNS, separator=separator).frame
    session, part = (frame[name] for name in SPLIT_COLUMNS)
    for is_wrong, values, what in (
        (~part.isin(PARTS), part, f"is none of {', '.join(PARTS)}"),
        (session.duplicated(), session, "stands twice"),
    ):
        if is_wrong.any():
            row = int(is_wrong.to_numpy().argmax())
            raise UserError(f"{path}:{frame.index[row]}: {values.iloc[row]!r} {what}")
    return pd.Series(part.to_numpy(), index=session.to_numpy())
