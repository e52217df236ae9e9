"""Item categories or genres: names in a column of the .item file."""

import re
from collections import Counter

from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.data.formats.wording import clean_intent
from recbole_intent.utils.errors import UserError

COLUMNS = ("categories", "category", "genres", "genre", "class", "attributes")
# The first pattern that occurs in a column is its separator; names may contain the later ones.
_SEPARATORS = (re.compile(r"[>;|]"), re.compile(r","))
_TELLS_NOTHING = 0.9  # a name shared by more than this share of items describes the catalogue


def item_categories(
    texts: ItemTexts, column: str | None = None, reader: str = "intents: metadata"
) -> tuple[str, list[tuple[str, ...]]]:
    """Read the category or genre names of each item.

    Args:
        texts: of the items.
        column: the column that holds them; None: the first of `COLUMNS`.
        reader: the key that asks for them, for the message.

    Returns:
        The column they come from, and (V,) names per item, without names that nearly all items
        have.

    Raises:
        UserError: the .item file has no such column.
    """
    wanted = COLUMNS if column is None else (column,)
    column = next((name for name in wanted if name in texts.columns), None)
    if column is None:
        one_of = f"one of {', '.join(wanted)}" if len(wanted) > 1 else wanted[0]
        raise UserError(
            f"{texts.path}: no column of categories ({one_of}), which {reader} reads; `prepare` "
            "writes it from raw files that have categories"
        )
    values = texts.column(column)
    separator = next((s for s in _SEPARATORS if any(map(s.search, values))), None)
    # Without a separator, each word of a sequence is a name.
    words = str.split if texts.columns[column] else lambda text: [text]
    split = separator.split if separator else words
    names = [tuple(dict.fromkeys(filter(None, map(clean_intent, split(v))))) for v in values]
    having = Counter(name for of_item in names for name in of_item)
    most = _TELLS_NOTHING * len(names)
    return column, [tuple(n for n in of_item if having[n] <= most) for of_item in names]
