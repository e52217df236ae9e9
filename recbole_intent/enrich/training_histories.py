"""Each user's training items under leave-one-out, and nothing of validation and test."""

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_intent.enrich.training_sessions import (
    TrainingSessions,
    read_interactions,
    seeded,
)
from recbole_intent.errors import UserError


def read_training_histories(folder: Path, dataset: str) -> TrainingSessions:
    """Read the histories of `folder/<dataset>.inter` without the last two items of each user.

    Times are compared as RecBole does, which holds them as float32 and leaves equal ones in the
    order of the file: another order would make other items the last two. A user of one or two
    interactions keeps the first one.

    Returns:
        The histories, a user in the place of a session; `item_ids` are all items of the file.

    Raises:
        UserError: the file is absent or of another form, or the dataset is one of sessions.
    """
    path = folder / f"{dataset}.inter"
    if (folder / f"{dataset}.split").exists():
        raise UserError(
            f"{folder / dataset}.split: shares out sessions; the users of ISRF need whole "
            "histories: prepare the dataset without --sessions"
        )
    frame = read_interactions(path)
    if len(frame) == 0:
        raise UserError(f"{path}: no interactions below the header")
    items, item_ids = pd.factorize(frame["item_id:token"].astype(str))
    users, ids = pd.factorize(frame["user_id:token"].astype(str))
    order = np.lexsort((frame["timestamp:float"].to_numpy(np.float32), users))
    users, items = users[order], items[order]
    lengths = np.bincount(users)
    place = np.arange(len(users)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = np.maximum(lengths - 2, 1)
    return TrainingSessions(
        np.asarray(ids, dtype=object),
        items[place < kept[users]].astype(np.int32),
        np.r_[0, np.cumsum(kept)],
        np.asarray(item_ids, dtype=object),
    )


def sample_places(user: str, length: int, most: int, seed: int) -> np.ndarray:
    """Which of a user's training items a text tells of: a seeded sample, in the order of time.

    It depends on the seed, the user's id and the number of items alone.

    Args:
        user: raw id.
        length: of the history.
        most: items in the sample, at most.
        seed: of the run.

    Returns:
        (min(length, most),) places, rising.
    """
    if length <= most:
        return np.arange(length)
    return np.sort(seeded(seed, user).choice(length, most, replace=False))
