"""Titles of items, whatever the column is called."""

import numpy as np
import pytest

from recbole_intent.data.formats.titles import item_titles


@pytest.mark.parametrize(
    ("columns", "title"),
    [
        ("title:token_seq\tname:token", "t"),
        ("brand_name:token\tname:token", "n"),
        ("class:token_seq\tmovie_title:token_seq", "n"),
        ("class:token_seq\tyear:float", None),
    ],
)
def test_the_title_like_column(tiny_path, tiny, tmp_path, columns, title):
    config = tiny()
    config["data_path"] = str(tmp_path)
    rows = [f"i{n}\tt of i{n}\tn of i{n}" for n in (2, 1)]
    (tmp_path / "tiny.item").write_text("\n".join([f"item_id:token\t{columns}", *rows]) + "\n")
    titles = item_titles(config, np.array(["[PAD]", "i1", "i9", "i2"]))
    if title is None:
        assert titles is None
    else:
        assert titles.tolist() == ["", f"{title} of i1", "", f"{title} of i2"]


def test_no_item_file(tiny, tmp_path):
    config = tiny()
    config["data_path"] = str(tmp_path)
    assert item_titles(config, np.array(["[PAD]"])) is None
