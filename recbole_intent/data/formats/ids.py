"""Ids of users and items in the dataset's text form."""

from typing import Any

import numpy as np

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import is_text


def raw_id(value: Any, where: str, name: str) -> str:
    """Convert an id to the dataset's text form.

    Args:
        value: a string, or a whole number of any kind (`5`, `5.0`, `numpy.int64(5)`).
        where: its location, for the error: `history 2`.
        name: what the id identifies.

    Raises:
        UserError: neither a string nor a whole number.
    """
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a scalar of numpy or torch
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and is_text(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    raise UserError(
        f"{where}: {name} {shown(value)} is not an id; ids are strings or whole numbers"
    )


def shown(value: Any) -> str:
    """Return a value as it is shown in an error."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # a number with more digits than Python prints
        text = "a number of too many digits"
    return text if len(text) <= 60 else f"{text[:57]}…"
