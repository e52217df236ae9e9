"""Metadata intents (`intents: metadata`): item categories or genres as intents, without an LLM.

This is the "explicit" family of the paper's related work: a baseline, and a start if no language
model is available. Reports and the manifest use this name.
"""

import math
from collections import Counter
from collections.abc import Iterator

from recbole_intent.data.formats.intent_files import SessionIntents
from recbole_intent.data.loading.training_interactions import TrainingHistories
from recbole_intent.enrich.intents.pool import IntentPool


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
