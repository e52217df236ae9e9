"""Texts of items and users from the .item file alone: `semantics: metadata`, and what a language
model is shown."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from recbole_intent.enrich.item_texts import ItemTexts
from recbole_intent.enrich.metadata import COLUMNS, item_categories

_LONG = "description"
_MOST_NAMES = 5  # categories, and brands, in the text of a user


class PlainTexts:
    """One line for each item, and for a user by the items.

    Args:
        texts: of the catalogue.
        others: ids that it lacks, which are all that is known of these items.

    Attributes:
        ids: (V,) items, those of the catalogue first; the lists below go with them.
        has_text: whether the file tells anything of an item.
        title: titles; ids where there is no text.
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
        # Last, for an encoder reads the beginning of what is too long.
        told = zip(self.brief, fields, self.title, strict=True)
        self.item = [
            f"{brief}. {long}" if (long := of_item.get(_LONG, title)) != title else brief
            for brief, of_item, title in told
        ]
        has_categories = any(name in texts.columns for name in COLUMNS)
        names = item_categories(texts)[1] if has_categories else [()] * len(fields)
        brands = [tuple(filter(None, [of_item.get("brand")])) for of_item in fields]
        # How telling a name is depends on the catalogue alone, not on who chose what.
        weights = _weights(names), _weights(brands)
        names, brands = ([*of_items, *[()] * len(others)] for of_items in (names, brands))
        self._names = (("Categories", names, weights[0]), ("Brands", brands, weights[1]))
        self.has_text += [False] * len(others)
        for lines in (self.title, self.brief, self.item):
            lines += others

    def user(self, codes: Iterable[int]) -> str:
        """The most telling categories and brands of some items, and their titles.

        Args:
            codes: training items of a user, the oldest first.
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
    """The title, then what is short."""
    names = (name for name in fields if name != _LONG and fields[name] != title)
    return ". ".join([title, *(f"{name.replace('_', ' ')}: {fields[name]}" for name in names)])


def _weights(names: list[tuple[str, ...]]) -> dict[str, float]:
    """log of how rare a name is: what all items have tells nothing of a user."""
    having = Counter(name for of_item in names for name in of_item)
    return {name: math.log(len(names) / count) for name, count in having.items()}
