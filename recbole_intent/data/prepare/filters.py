"""Filters of raw interactions: low ratings, items without text, and the k-core."""

import numpy as np
import pandas as pd

from recbole_intent.data.sources.raw import RawData
from recbole_intent.utils.errors import UserError

TEXT = ("title", "description")


def rated(raw: RawData, min_rating: float) -> np.ndarray:
    """Mark the interactions with a rating of at least `min_rating`.

    Returns:
        Boolean array, one per interaction. An empty rating is below any minimum.

    Raises:
        UserError: the data have no ratings.
    """
    if "rating" not in raw.interactions:
        raise UserError(f"{raw.files[0]}: no ratings to compare with; leave --min_rating away")
    return raw.interactions["rating"].to_numpy() >= min_rating


def with_text(raw: RawData) -> np.ndarray:
    """Mark the interactions whose item has a title or a description.

    Returns:
        Boolean array, one per interaction.

    Raises:
        UserError: the data have no item text at all.
    """
    columns = [name for name in TEXT if raw.items is not None and name in raw.items]
    if raw.items is None or not columns:
        place = raw.items_file or raw.files[0]
        raise UserError(
            f"{place}: no title or description of items, so --drop_without_text would drop all; "
            "leave it away, add the items file, or name a column by --columns=title=NAME"
        )
    has_text = (raw.items[columns] != "").any(axis=1)
    items = raw.interactions["item_id"].cat
    known = items.categories.isin(raw.items["item_id"][has_text])
    return known[items.codes.to_numpy()]


def k_core(users: np.ndarray, items: np.ndarray, k: int) -> np.ndarray:
    """Mark the largest subset in which every user and every item has at least k interactions.

    Users and items with fewer are dropped repeatedly until none remain.

    Args:
        users: int codes ≥ 0, one per interaction.
        items: int codes ≥ 0, one per interaction.
        k: minimum number of interactions per user and item; ≤ 1 keeps all.

    Returns:
        Boolean array, one per interaction.
    """
    kept = np.arange(len(users))
    while len(kept):
        enough = (np.bincount(users[kept]) >= k)[users[kept]]
        enough &= (np.bincount(items[kept]) >= k)[items[kept]]
        if enough.all():
            break
        kept = kept[enough]
    mask = np.zeros(len(users), bool)
    mask[kept] = True
    return mask


def keep(raw: RawData, mask: np.ndarray, what: str) -> None:
    """Keep the marked interactions of `raw`, in place.

    Raises:
        UserError: no interaction would be left; `what` names the option responsible.
    """
    if not mask.any():
        raise UserError(f"{raw.files[0]}: no interaction is left after {what}; ask for less")
    if not mask.all():
        raw.interactions = pd.DataFrame(raw.interactions[mask])
