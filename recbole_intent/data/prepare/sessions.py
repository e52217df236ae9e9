"""Cuts histories into sessions and splits these into training, validation and test by time."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from recbole_intent.config.command_keys import SESSIONS, refuse
from recbole_intent.utils.errors import UserError

PARTS = ("train", "valid", "test")
CUT_OFFS = (0.8, 0.9)  # quantiles of the sessions' last times


@dataclass(frozen=True)
class SessionOptions:
    """Options for cutting histories into sessions (VELI4SBR, section 5.1.1: L_max and L_min).

    Attributes:
        max_session_length: longer histories are cut into pieces of this many items.
        min_session_length: shorter pieces are dropped; at least 2, an item to predict and one
            before it.
        session_gap: seconds without an interaction that end a session; None: never.

    Raises:
        UserError: an invalid value.
    """

    max_session_length: int
    min_session_length: int
    session_gap: float | None = None

    def __post_init__(self) -> None:
        refuse(SESSIONS, asdict(self), where="sessions: ")
        if self.max_session_length < self.min_session_length:
            raise UserError(
                f"sessions: max_session_length={self.max_session_length}: is below "
                f"min_session_length, {self.min_session_length}"
            )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "SessionOptions":
        """Create the options from a mapping, such as that of a dataset's properties.

        Raises:
            UserError: an unknown name, a missing length, or an invalid value.
        """
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise UserError(f"sessions: unknown part {name!r}; known are {', '.join(names)}")
        for name in names[:2]:
            if name not in values:
                raise UserError(f"sessions: {name} is missing; {_EXAMPLE}")
        return cls(**values)

    @classmethod
    def parse(cls, text: str) -> "SessionOptions":
        """Create the options from `max_session_length=20,min_session_length=3`.

        Raises:
            UserError: as `of`, or a text in another form.
        """
        values: dict[str, int | float] = {}
        for pair in text.split(","):
            name, equals, value = (word.strip() for word in pair.partition("="))
            try:
                number = float(value)
            except ValueError:
                equals = ""
            if not equals:
                raise UserError(f"--sessions={text}: {pair!r} is not NAME=NUMBER; {_EXAMPLE}")
            if name in values:
                raise UserError(f"--sessions={text}: {name} is given twice")
            values[name] = int(number) if number.is_integer() else number
        return cls.of(values)


_EXAMPLE = "such as --sessions=max_session_length=20,min_session_length=3"


@dataclass(frozen=True)
class Sessions:
    """Sessions in the order of their last times, so training sessions come first.

    Attributes:
        event: (M,) indices of the kept interactions, grouped by session, in order.
        session: (M,) session of each of them, 0 .. S - 1, non-decreasing.
        user: (S,) user of each session.
        number: (S,) index of the piece in the user's history, from 1; dropped pieces count too.
        part: (S,) index into `PARTS`.
        cut: (3,) sessions of each split before items unseen in training were removed.
    """

    event: np.ndarray
    session: np.ndarray
    user: np.ndarray
    number: np.ndarray
    part: np.ndarray
    cut: np.ndarray


def make_sessions(
    user: np.ndarray, item: np.ndarray, time: np.ndarray, options: SessionOptions
) -> Sessions:
    """Cut histories into sessions and assign them to splits.

    Each history is cut into pieces, and pieces that are too short are dropped. The 0.8 and 0.9
    quantiles of the pieces' last times are the cut-offs between training, validation and test; a
    piece that ends at a cut-off belongs to the earlier split. Then items unseen in training are
    removed from validation and test, and pieces that thereby become too short are dropped.

    Args:
        user: (N,) int codes, grouped by user in the order of time.
        item: (N,) int codes from 0.
        time: (N,) seconds, non-decreasing within a user.
        options: lengths and gap.

    Returns:
        The sessions. No two of them share an interaction.

    Raises:
        UserError: a split has no sessions.

    Source: VELI4SBR, section 5.1.1 and Table 1, whose sizes reveal the order of the steps: training
        has four fifths of the sessions before the removal, validation and test have fewer.
    """
    piece, number = cut_into_pieces(user, time, options)
    n_pieces = int(piece[-1]) + 1 if len(piece) else 0
    last_row = np.flatnonzero(np.r_[piece[1:] != piece[:-1], True]) if n_pieces else piece
    end = time[last_row]  # (P,)
    part = np.full(n_pieces, -1)  # split of each piece; -1: dropped
    is_long = np.bincount(piece, minlength=n_pieces) >= options.min_session_length
    if not is_long.any():
        raise UserError(
            f"no history has {options.min_session_length} items in a session; "
            "ask for less by --sessions=min_session_length=…"
        )
    part[is_long] = part_by_time(end[is_long])
    cut = np.bincount(part[is_long], minlength=3)

    of_row = part[piece]
    in_training = np.zeros(item.max() + 1, dtype=bool)
    in_training[item[of_row == 0]] = True
    kept = (of_row == 0) | ((of_row > 0) & in_training[item])
    left = np.bincount(piece[kept], minlength=n_pieces)
    part[left < options.min_session_length] = -1
    for index, name in enumerate(PARTS):
        if not (part == index).any():
            raise UserError(
                f"no session is left for {name} ({cut[index]} before items that training does not "
                "have were removed); there are too few sessions, or they are too short"
            )

    chosen = np.flatnonzero(part >= 0)
    chosen = chosen[np.argsort(end[chosen], kind="stable")]  # (S,) pieces by their last time
    rank = np.full(n_pieces, -1)
    rank[chosen] = np.arange(len(chosen))
    event = np.flatnonzero(kept & (part[piece] >= 0))
    event = event[np.argsort(rank[piece[event]], kind="stable")]
    last_row = last_row[chosen]
    return Sessions(event, rank[piece[event]], user[last_row], number[last_row], part[chosen], cut)


def cut_into_pieces(
    user: np.ndarray, time: np.ndarray, options: SessionOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Cut histories into pieces that do not overlap, at gaps and at the maximum length.

    Args:
        user, time, options: as in `make_sessions`.

    Returns:
        piece: (N,) piece of each row, 0, 1, …, non-decreasing.
        number: (N,) index of the piece among its user's, from 1.
    """
    row = np.arange(len(user))
    first_of_user = np.r_[True, user[1:] != user[:-1]][: len(user)]
    begins = first_of_user.copy()
    if options.session_gap is not None:
        begins[1:] |= np.diff(time) > options.session_gap
    place = row - np.maximum.accumulate(np.where(begins, row, 0))
    begins = place % options.max_session_length == 0
    piece = np.cumsum(begins) - 1
    first_piece = np.maximum.accumulate(np.where(first_of_user, piece, 0))
    return piece, piece - first_piece + 1


def part_by_time(end: np.ndarray) -> np.ndarray:
    """Index into `PARTS` of sessions that end at the times `end` (P,)."""
    return np.searchsorted(np.quantile(end, CUT_OFFS), end, side="left")
