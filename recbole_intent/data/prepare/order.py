"""Sorts each user's interactions and writes their order into strictly increasing times."""

import numpy as np
import pandas as pd


def in_order(interactions: pd.DataFrame) -> pd.DataFrame:
    """Sort by user (in order of first appearance), then position, then time, then file order.

    RecBole stores times as float32, which cannot distinguish present-day seconds, but sorts them
    stably: rows in the right order in the file stay so.

    Args:
        interactions: as `RawData.interactions`, without duplicates.

    Returns:
        The sorted rows, with whole `timestamp`s that strictly increase within each user.
    """
    user = pd.factorize(interactions["user_id"].cat.codes.to_numpy())[0]
    time = interactions["timestamp"].to_numpy()
    keys = [time, user]  # lexsort's last key is the primary one
    if "position" in interactions:
        keys.insert(1, interactions["position"].to_numpy())
    order = np.lexsort(keys)
    result = interactions.iloc[order].copy()
    result["timestamp"] = strictly_increasing(user[order], time[order])
    return result


def without_time(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Mark rows of users whose times are 0, 1, 2 …, the times `strictly_increasing` makes up.

    Args:
        user: int codes, grouped by user, in order.
        time: seconds.

    Returns:
        (N,) bool.
    """
    is_place = pd.Series(time == pd.Series(user).groupby(user).cumcount().to_numpy())
    return is_place.groupby(user).transform("all").to_numpy()


def strictly_increasing(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Raise each time to at least one second after the same user's previous one.

    If all purchases of a day have the same time, this adds the position within the day.

    Args:
        user: int codes, grouped by user, in order.
        time: seconds; fractions are truncated. All NaN for a user without times: these become
            0, 1, 2 ..., seconds of 1970 that cannot be mistaken for real ones.

    Returns:
        int64 seconds, t'_k = max(t_k, t'_{k-1} + 1).
    """
    seconds = np.floor(np.nan_to_num(time, nan=0.0)).astype("int64")
    place = pd.Series(seconds).groupby(user).cumcount().to_numpy()
    # with u_k = t_k - k the rule is a running maximum: u'_k = max(u_k, u'_{k-1})
    return pd.Series(seconds - place).groupby(user).cummax().to_numpy() + place
