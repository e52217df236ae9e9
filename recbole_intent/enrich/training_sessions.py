"""The training sessions of a session dataset, and nothing of the others."""

from collections.abc import Sized
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_intent.data.session_split import read_split
from recbole_intent.errors import UserError
from recbole_intent.files import fingerprint

_COLUMNS = ("user_id:token", "item_id:token", "timestamp:float")


@dataclass(frozen=True)
class TrainingSessions:
    """Training sessions, in the order in which they begin in the .inter file.

    Attributes:
        ids: (S,) their ids, strings.
        items: (N,) codes of their items, session after session, in the order of time.
        first: (S + 1,) where each session begins in `items`; the last entry is N.
        item_ids: (V,) id of each code: the items of training sessions alone.
    """

    ids: np.ndarray
    items: np.ndarray
    first: np.ndarray
    item_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, index: int) -> np.ndarray:
        """Item codes of a session, the oldest first."""
        return self.items[self.first[index] : self.first[index + 1]]


def read_training_sessions(folder: Path, dataset: str) -> TrainingSessions:
    """Read the training sessions of `folder/<dataset>.inter`, by `folder/<dataset>.split`.

    Raises:
        UserError: a file that is absent or of another form, or a session that is too short.
    """
    path = folder / f"{dataset}.inter"
    part_of = read_split(folder / f"{dataset}.split", "\t")
    frame = read_interactions(path)
    part = part_of.reindex(frame["user_id:token"].cat.categories)
    if part.isna().any():
        lacking = part.index[part.isna()][0]
        raise UserError(
            f"{path}: session {lacking!r} is not in {dataset}.split; prepare both again"
        )
    # From here on nothing of validation and test is left.
    frame = frame[(part == "train").to_numpy()[frame["user_id:token"].cat.codes]]
    codes, ids = pd.factorize(frame["user_id:token"].astype(str))
    items, item_ids = pd.factorize(frame["item_id:token"].astype(str))
    order = np.lexsort((frame["timestamp:float"], codes))  # stable: ties as in the file
    lengths = np.bincount(codes, minlength=len(ids))
    if len(ids) == 0 or lengths.min() < 2:
        what = "no training session" if len(ids) == 0 else f"session {ids[lengths.argmin()]!r}"
        raise UserError(f"{path}: {what} has two items, one to predict and one before it")
    return TrainingSessions(
        np.asarray(ids, dtype=object),
        items[order].astype(np.int32),
        np.r_[0, np.cumsum(lengths)],
        np.asarray(item_ids, dtype=object),
    )


def read_interactions(path: Path) -> pd.DataFrame:
    """The rows of an .inter file in their order: `user_id:token`, `item_id:token`,
    `timestamp:float`; ids as categories.

    Raises:
        UserError: absent or of another form.
    """
    try:
        return pd.read_csv(
            path,
            sep="\t",
            usecols=list(_COLUMNS),
            dtype={"user_id:token": "category", "item_id:token": "category"},
            keep_default_na=False,
            encoding="utf-8",
        )
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `prepare` writes it") from error
    except ValueError as error:  # a missing column, a time that is no number, not UTF-8
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error


def choose(sessions: Sized, sample: float, limit: int | None, seed: int) -> np.ndarray:
    """Which sessions, or other things, to ask about, in their order.

    Args:
        sessions: all that there are.
        sample: share in (0, 1]; a smaller sample of the same seed is a part of a larger one.
        limit: the first so many of the sample.
        seed: of the sample.

    Returns:
        (C,) indices, rising.
    """
    count = max(1, round(sample * len(sessions)))
    drawn = np.random.default_rng(seed).permutation(len(sessions))[:count]
    return np.sort(drawn)[:limit]


def draw_candidates(
    session: str, items: np.ndarray, n_items: int, negatives: int, seed: int
) -> np.ndarray:
    """The held-out last item among random items that are not in the session, shuffled.

    They depend on the seed and the session's id alone: not on which other sessions are asked.

    Args:
        session: its id.
        items: (n,) its item codes.
        n_items: size of the catalogue, at least the session's distinct items + `negatives`.
        negatives: M, random items.
        seed: of the run.

    Returns:
        (M + 1,) item codes.
    """
    rng = seeded(seed, session)
    inside, others = set(items.tolist()), []
    while len(others) < negatives:
        code = int(rng.integers(n_items))
        if code not in inside:
            inside.add(code)
            others.append(code)
    return rng.permutation([int(items[-1]), *others])


def seeded(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one session or user, whoever else is asked about."""
    return np.random.default_rng(int(fingerprint([seed, name])[:16], 16))
