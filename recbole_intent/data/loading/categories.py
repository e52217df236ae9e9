"""The category of each item, from a column of the .item file: one per item."""

from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.data.formats.item_categories import item_categories
from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.utils.errors import UserError

_NONE = "(no category)"  # the category of items without one


def read_categories(
    config: Any, dataset: Any, key: str = "category_column", column: str | None = None
) -> tuple[list[str], np.ndarray]:
    """The categories of a dataset, and the category of each item.

    Args:
        config: `category`, and the key that names columns.
        dataset: with item ids.
        key: the key that names columns, for messages, and for the column if none is given.
        column: the column to read; None: that of the key, where `auto` takes the first that is
            known to hold categories.

    Returns:
        K names, in the order of the items' numbers, and (V,) int64 from 1; 0 for padding.

    Raises:
        UserError: no .item file or column, or fewer than two categories.
    """
    ids = dataset.field2id_token[config["ITEM_ID_FIELD"]][1:].tolist()
    path = Path(config["data_path"]) / f"{config['dataset']}.item"
    given = config[key] if column is None else column
    wanted = None if given == "auto" else given
    column, names = item_categories(ItemTexts(path, ids), wanted, f"{key}: {given}")
    choose = {"last": lambda of_item: of_item[-1], "first": lambda of_item: of_item[0]}
    one = choose.get(config["category"], " | ".join)
    number: dict[str, int] = {}
    numbers = [number.setdefault(one(n) if n else _NONE, len(number) + 1) for n in names]
    if len(number) < 2:
        raise UserError(
            f"{path}: column {column} has a single category, and {key}: {given} needs at least two"
        )
    return list(number), np.array([0, *numbers])
