"""Item titles from the atomic files."""

from pathlib import Path

import numpy as np

from recbole_intent.config.config import Config
from recbole_intent.data.formats.atomic_tables import read_atomic, read_header


def item_titles(config: Config, item_ids: np.ndarray) -> np.ndarray | None:
    """Read the titles of items from the dataset's `.item` file.

    A title-like column is `title` or `name`, else the first whose name ends in `_title` or
    `_name`.

    Args:
        config: configuration of a run on the dataset.
        item_ids: (V,) raw ids.

    Returns:
        (V,) strings, empty if an item has no title; None if there is no such column.
    """
    path = Path(config["data_path"]) / f"{config['dataset']}.item"
    if not path.is_file():
        return None
    separator = config["field_separator"]
    encoding = config["encoding"] or "utf-8"
    item, types = config["ITEM_ID_FIELD"], read_header(path, separator, encoding)
    title = title_like([name for name in types if name != item])
    if title is None or item not in types:
        return None
    frame = read_atomic(
        path, [item, title], texts=[title], separator=separator, encoding=encoding
    ).frame
    title_of = dict(zip(frame[item], frame[title], strict=True))
    return np.array([title_of.get(item, "") for item in item_ids], dtype=object)


def title_like(names: list[str]) -> str | None:
    """The column that holds titles; None if there is none."""
    for name in ("title", "name"):
        if name in names:
            return name
    return next((name for name in names if name.endswith(("_title", "_name"))), None)
