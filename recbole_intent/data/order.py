"""The one true order of each user's interactions, written into times that sort right."""

import numpy as np
import pandas as pd


def in_order(interactions: pd.DataFrame) -> pd.DataFrame:
    """Sort by user (in order of first appearance), then position, then time, then file order.

    RecBole holds times as float32, where neighbouring seconds of today fall together, but sorts
    them stably: rows that lie in the right order in the file stay so.

    Args:
        interactions: as `RawData.interactions`, without duplicates.

    Returns:
        The sorted rows, with whole `timestamp`s that strictly increase within each user.
    """
    user = pd.factorize(interactions["user_id"].cat.codes.to_numpy())[0]
    time = interactions["timestamp"].to_numpy()
    keys = [time, user]  # the last key of lexsort counts most
    if "position" in interactions:
        keys.insert(1, interactions["position"].to_numpy())
    order = np.lexsort(keys)
    result = interactions.iloc[order].copy()
    result["timestamp"] = strictly_increasing(user[order], time[order])
    return result


def without_time(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Mark rows of users whose times are 0, 1, 2 …, as `strictly_increasing` gives them for none.

    Args:
        user: int codes, rows of a user beside each other, in order.
        time: seconds.

    Returns:
        (N,) bool.
    """
    is_place = pd.Series(time == pd.Series(user).groupby(user).cumcount().to_numpy())
    return is_place.groupby(user).transform("all").to_numpy()


def strictly_increasing(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Move each time up to at least one second after the one before it of the same user.

    Within a day whose purchases all carry the same second this adds the place within the day.

    Args:
        user: int codes, rows of a user beside each other, in order.
        time: seconds; fractions are cut off. All NaN for a user whose times are unknown: these
            become 0, 1, 2 ..., seconds of 1970 that nobody will take for true ones.

    Returns:
        int64 seconds, t'_k = max(t_k, t'_{k-1} + 1).
    """
    seconds = np.floor(np.nan_to_num(time, nan=0.0)).astype("int64")
    place = pd.Series(seconds).groupby(user).cumcount().to_numpy()
    # with u_k = t_k - k the rule is a running maximum: u'_k = max(u_k, u'_{k-1})
    return pd.Series(seconds - place).groupby(user).cummax().to_numpy() + place
