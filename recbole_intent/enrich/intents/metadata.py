"""Metadata intents (`intents: metadata`): item categories or genres as intents, without an LLM.

This is the "explicit" family of the paper's related work: a baseline, and a start if no language
model is available. Reports and the manifest use this name.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

from recbole_intent.data.formats.intent_files import SessionIntents
from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.data.loading.training_interactions import TrainingHistories
from recbole_intent.enrich.intents.pool import IntentPool, clean_intent
from recbole_intent.utils.errors import UserError

COLUMNS = ("categories", "category", "genres", "genre", "class", "attributes")
# The first pattern that occurs in a column is its separator; names may contain the later ones.
_SEPARATORS = (re.compile(r"[>;|]"), re.compile(r","))
_TELLS_NOTHING = 0.9  # a name shared by more than this share of items describes the catalogue


def item_categories(texts: ItemTexts) -> tuple[str, list[tuple[str, ...]]]:
    """Read the category or genre names of each item.

    Returns:
        The column they come from, and (V,) names per item, without names that nearly all items
        have.

    Raises:
        UserError: the .item file has no such column.
    """
    column = next((name for name in COLUMNS if name in texts.columns), None)
    if column is None:
        raise UserError(
            f"{texts.path}: no column of categories (one of {', '.join(COLUMNS)}), "
            "which intents: metadata reads"
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


def frequent_categories(names: list[tuple[str, ...]], most: int) -> list[str]:
    """The most frequent categories among items, in descending order."""
    having = Counter(name for of_item in names for name in of_item)
    return sorted(having, key=lambda name: (-having[name], name))[:most]


def metadata_intents(
    sessions: TrainingHistories, chosen, names: list[tuple[str, ...]], pool: IntentPool, most: int
) -> Iterator[SessionIntents]:
    """Choose the most informative categories (tf-idf) of each session's items except the last.

    Args:
        sessions: training sessions.
        chosen: indices of sessions.
        names: (V,) categories of each item.
        pool: updated in place.
        most: maximum number of intents per session.

    Yields:
        An .intent entry per session, with zero attempts because no model was used.
    """
    having = Counter(name for of_item in names for name in of_item)
    weight = {name: math.log(len(names) / count) for name, count in having.items()}
    for index in chosen:
        counts = Counter(n for code in sessions.of(index)[:-1].tolist() for n in names[code])
        ranked = sorted(counts, key=lambda name: (-counts[name] * weight[name], name))
        intents = pool.accept(ranked[:most])
        yield SessionIntents(str(sessions.ids[index]), intents, (), 0, bool(intents))
