"""Common aliases of our column names, and the error for columns that a table lacks."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import printable

# Our name → aliases, ignoring case and punctuation; the first group with a match is used.
ALIASES: dict[str, tuple[str, ...]] = {
    "user_id": (
        "userid uid user customerid customer reviewerid visitorid memberid accountid personid",
        "sessionid session",
    ),
    "item_id": (
        "itemid iid item movieid movie productid product parentasin asin bookid songid trackid "
        "articleid newsid videoid gameid businessid poiid locationid sku",
    ),
    "timestamp": (
        "timestamp timestamps ts unixreviewtime unixtime unixtimestamp",
        "datetime time date eventtime createdat reviewtime ratingtime",
    ),
    "rating": ("rating ratings overall stars", "score"),
    "title": ("title name itemname itemtitle productname producttitle movietitle",),
    "categories": ("categories category genres genre",),
}


class MissingColumns(UserError):
    """A table lacks columns.

    Attributes:
        option: the missing columns as `--columns` takes them: `item_id=NAME,timestamp=NAME`.
    """

    def __init__(self, path: Path, names: Sequence[str], missing: dict[str, str]) -> None:
        self.option = ",".join(f"{ours}=NAME" for ours in missing)
        lacking = " and no ".join(repr(theirs) for theirs in missing.values())
        super().__init__(
            f"{path}: no column {lacking} (it has {shown(names)}); name the right "
            f"{'ones' if len(missing) > 1 else 'one'} by --columns={self.option}"
        )


def resolve(
    names: Sequence[str], columns: dict[str, str], keys: Iterable[str], path: Path
) -> dict[str, str]:
    """Map our names to the table's, for the columns that it has.

    Args:
        names: the table's columns.
        columns: our name → the table's, given by the user.
        keys: our names to look up.
        path: the table, for the error.

    Returns:
        Our name → the table's: the user's mapping first, then our own names, then the `ALIASES`.

    Raises:
        UserError: a name matches two columns.
    """
    resolved, taken = {}, set(columns.values())
    for key in keys:
        if key in columns:
            if columns[key] in names:
                resolved[key] = columns[key]
            continue
        if key in names:
            resolved[key] = key
            continue
        for group in ALIASES.get(key, ()):
            fits = [name for name in names if _plain(name) in group.split() and name not in taken]
            if len(fits) > 1:
                raise UserError(
                    f"{path}: {fits[0]!r} and {fits[1]!r} could both be {key}; name the right one "
                    f"by --columns={key}={fits[0]}"
                )
            if fits:
                resolved[key] = fits[0]
                break
    return resolved


def shown(names: Sequence[str]) -> str:
    """The first names of a table's columns, for an error."""
    parts = [printable(name)[:40] for name in names[:12]]
    return ", ".join(parts) + (" …" if len(names) > 12 else "")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
