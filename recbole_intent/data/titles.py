"""The titles of items, where the atomic files have them."""

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_intent.config import Config


def item_titles(config: Config, item_ids: np.ndarray) -> np.ndarray | None:
    """The titles of items, from the dataset's `.item` file.

    A title-like column is `title` or `name`, else the first whose name ends in `_title` or
    `_name`.

    Args:
        config: of a run on the dataset.
        item_ids: (V,) raw ids.

    Returns:
        (V,) strings, empty where an item has no title; None where there is no such column.
    """
    path = Path(config["data_path"]) / f"{config['dataset']}.item"
    if not path.is_file():
        return None
    # Quoting as where RecBole reads the file.
    separator = config["field_separator"]
    header = pd.read_csv(path, sep=separator, nrows=0, encoding="utf-8").columns
    columns = {column.partition(":")[0]: column for column in header}
    title = title_like([name for name in columns if name != config["ITEM_ID_FIELD"]])
    if title is None or config["ITEM_ID_FIELD"] not in columns:
        return None
    names = [columns[config["ITEM_ID_FIELD"]], columns[title]]
    frame = pd.read_csv(
        path, sep=separator, usecols=names, dtype=str, keep_default_na=False, encoding="utf-8"
    )
    title_of = dict(zip(frame[names[0]], frame[names[1]], strict=True))
    return np.array([title_of.get(item, "") for item in item_ids], dtype=object)


def title_like(names: list[str]) -> str | None:
    """The column among these that holds titles; None where there is none."""
    for name in ("title", "name"):
        if name in names:
            return name
    return next((name for name in names if name.endswith(("_title", "_name"))), None)
