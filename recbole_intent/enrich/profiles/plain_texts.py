"""Texts of items and users from the .item file, for `semantics: metadata` and for prompts."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from recbole_intent.data.formats.item_categories import COLUMNS, item_categories
from recbole_intent.data.formats.item_texts import ItemTexts

_LONG = "description"
_MOST_NAMES = 5  # categories in a user's text, and likewise brands


class PlainTexts:
    """One-line texts of items, and of users from their items.

    Args:
        texts: texts of the catalogue.
        others: ids of items missing from the catalogue, for which no text is known.

    Attributes:
        ids: (V,) items, those of the catalogue first; the lists below have the same order.
        has_text: whether the file has text for an item.
        title: titles; the id if there is no text.
        brief: titles and short fields.
        item: the same and the description.
    """

    def __init__(self, texts: ItemTexts, others: Sequence[str] = ()) -> None:
        self.ids = [*texts.ids, *others]
        codes = range(len(texts.ids))
        fields = [texts.fields(code) for code in codes]
        self.has_text = [bool(of_item) for of_item in fields]
        self.title = [texts.title(code) for code in codes]
        self.brief = [_line(*pair) for pair in zip(self.title, fields, strict=True)]
        # The description comes last, because an encoder truncates long texts.
        rows = zip(self.brief, fields, self.title, strict=True)
        self.item = [
            f"{brief}. {long}" if (long := of_item.get(_LONG, title)) != title else brief
            for brief, of_item, title in rows
        ]
        has_categories = any(name in texts.columns for name in COLUMNS)
        names: list[tuple[str, ...]] = [()] * len(fields)
        if has_categories:
            names = item_categories(texts)[1]
        brands = [tuple(filter(None, [of_item.get("brand")])) for of_item in fields]
        # The weight of a name depends only on the catalogue, not on interactions.
        weights = _weights(names), _weights(brands)
        names, brands = ([*of_items, *[()] * len(others)] for of_items in (names, brands))
        self._names = (("Categories", names, weights[0]), ("Brands", brands, weights[1]))
        self.has_text += [False] * len(others)
        for lines in (self.title, self.brief, self.item):
            lines += others

    def user(self, codes: Iterable[int]) -> str:
        """The most informative categories and brands of some items, and their titles.

        Args:
            codes: training items of a user, oldest first.
        """
        codes = list(codes)
        parts = []
        for heading, names, weight in self._names:
            counts = Counter(name for code in codes for name in names[code])
            ranked = sorted(counts, key=lambda name: (-counts[name] * weight[name], name))
            if ranked:
                parts.append(f"{heading}: {', '.join(ranked[:_MOST_NAMES])}")
        parts.append(f"Items: {'; '.join(dict.fromkeys(self.title[code] for code in codes))}")
        return ". ".join(parts)


def _line(title: str, fields: dict[str, str]) -> str:
    """The title, then the short fields."""
    names = (name for name in fields if name != _LONG and fields[name] != title)
    return ". ".join([title, *(f"{name.replace('_', ' ')}: {fields[name]}" for name in names)])


def _weights(names: list[tuple[str, ...]]) -> dict[str, float]:
    """Log inverse frequency of each name: a name that all items have weighs 0."""
    having = Counter(name for of_item in names for name in of_item)
    return {name: math.log(len(names) / count) for name, count in having.items()}
