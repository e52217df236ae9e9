"""Converts times in common forms, numbers of any unit and dates, to seconds since 1970."""

import logging
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from recbole_intent.data.sources.reading import plain_numbers
from recbole_intent.utils.errors import UserError

_LOGGER = logging.getLogger("recbole_intent")

# Smallest size of a number in each unit. Seconds reach 1e11 in the year 5138; milliseconds of
# 1973 and later are larger, and so on.
UNITS = ((1e17, 1e9, "nanoseconds"), (1e14, 1e6, "microseconds"), (1e11, 1e3, "milliseconds"))
_LEAST_TODAY = 1e8  # seconds in 1973
# An ISO 8601 date begins with a four-digit year and has a month.
_ISO = re.compile(r"\d{4}[-/]\d{1,2}")


def seconds(values: pd.Series, place: Callable[[int], str], column: str) -> pd.Series:
    """Convert times in any supported form to seconds.

    Args:
        values: numbers (as such or as text), ISO 8601 dates (as such or as text), or datetimes.
            Empty text, None and NaN are unknown times. A date without a zone is in UTC.
        place: returns the location of a row (0-based), for errors.
        column: its name, for errors and for the log.

    Returns:
        float64 seconds, NaN if unknown; numbers as large as milli-, micro- or nanoseconds of
        today are divided, which is logged.

    Raises:
        UserError: a value in another form.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        return _since_1970(values)
    plain = plain_numbers(values)
    if plain is not None:
        return in_seconds(plain, column, place)
    text = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    is_empty = (text == "").to_numpy()
    numbers = pd.to_numeric(text, errors="coerce").astype("float64")
    bad = ~np.isfinite(numbers.to_numpy()) & ~is_empty
    if not bad.any():
        return in_seconds(numbers, column, place)
    if not _ISO.match(text[~is_empty].iloc[0]):
        row = int(bad.argmax())
        raise UserError(
            f"{place(row)}: {column} {text.iloc[row][:40]!r} is not a number or a date such as "
            "2018-07-07 22:09:11"
        )
    times = pd.to_datetime(text.str.replace("/", "-"), format="ISO8601", errors="coerce", utc=True)
    bad = times.isna().to_numpy() & ~is_empty
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{place(row)}: {column} {text.iloc[row][:40]!r} is not a date such as "
            "2018-07-07 22:09:11"
        )
    return _since_1970(times)


def in_seconds(
    numbers: pd.Series, column: str, place: Callable[[int], str] | None = None
) -> pd.Series:
    """Convert numbers to seconds; their median size determines the unit.

    Raises:
        UserError: a number is clearly of another unit; names its `place`, as in `seconds`.
    """
    sizes = numbers.abs().to_numpy()
    known = sizes[np.isfinite(sizes)]
    size = np.median(known) if len(known) else 0.0
    below = [(least, per_second, name) for least, per_second, name in UNITS if size >= least]
    least, per_second, name = below[0] if below else (0.0, 1.0, "seconds")
    above = min((unit[0] for unit in UNITS if unit[0] > least), default=np.inf)
    other = (sizes >= above) | ((sizes < least) & (sizes >= _LEAST_TODAY))
    if other.any():
        row = int(other.argmax())
        where = f"{place(row)}: " if place else ""
        raise UserError(
            f"{where}{column} {numbers.iloc[row]:.0f} is of another unit than most, which are "
            f"{name}; write all times in seconds"
        )
    if per_second != 1:
        _LOGGER.info("%s: taken for %s, by the size of its numbers", column, name)
        return numbers / per_second
    return numbers


def _since_1970(times: pd.Series) -> pd.Series:
    if times.dt.tz is None:
        times = times.dt.tz_localize("UTC")
    return (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
