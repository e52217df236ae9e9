"""`intents: metadata`: categories or genres of a session's items as its intents, without any LLM.

The "explicit" family of the paper's related work: a baseline, and what to begin with where there
is no language model. Reports and manifest call it by this name.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

from recbole_intent.data.training_interactions import TrainingHistories
from recbole_intent.enrich.intent_files import SessionIntents
from recbole_intent.enrich.item_texts import ItemTexts
from recbole_intent.enrich.pool import IntentPool, clean_intent
from recbole_intent.errors import UserError

COLUMNS = ("categories", "category", "genres", "genre", "class", "attributes")
# The first kind that occurs in a column is its separator: names hold the later ones themselves.
_SEPARATORS = (re.compile(r"[>;|]"), re.compile(r","))
_TELLS_NOTHING = 0.9  # a name that so many of the items have is that of the catalogue


def item_categories(texts: ItemTexts) -> tuple[str, list[tuple[str, ...]]]:
    """The names of categories or genres of each item.

    Returns:
        The column that they are from, and (V,) names of each item, without those of nearly all.

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
    # Without one, a sequence has a name a word.
    words = str.split if texts.columns[column] else lambda text: [text]
    split = separator.split if separator else words
    names = [tuple(dict.fromkeys(filter(None, map(clean_intent, split(v))))) for v in values]
    having = Counter(name for of_item in names for name in of_item)
    most = _TELLS_NOTHING * len(names)
    return column, [tuple(n for n in of_item if having[n] <= most) for of_item in names]


def frequent_categories(names: list[tuple[str, ...]], most: int) -> list[str]:
    """The categories that the most items have, the most frequent first."""
    having = Counter(name for of_item in names for name in of_item)
    return sorted(having, key=lambda name: (-having[name], name))[:most]


def metadata_intents(
    sessions: TrainingHistories, chosen, names: list[tuple[str, ...]], pool: IntentPool, most: int
) -> Iterator[SessionIntents]:
    """The most telling categories of each session's items but the last.

    A category tells by how often the session has it and how few items have it (tf-idf).

    Args:
        sessions: of training.
        chosen: indices of sessions.
        names: (V,) categories of each item.
        pool: changed.
        most: intents a session.

    Yields:
        A line of the .intent file for each; without attempts, for nothing was asked.
    """
    having = Counter(name for of_item in names for name in of_item)
    weight = {name: math.log(len(names) / count) for name, count in having.items()}
    for index in chosen:
        counts = Counter(n for code in sessions.of(index)[:-1].tolist() for n in names[code])
        ranked = sorted(counts, key=lambda name: (-counts[name] * weight[name], name))
        intents = pool.accept(ranked[:most])
        yield SessionIntents(str(sessions.ids[index]), intents, (), 0, bool(intents))
