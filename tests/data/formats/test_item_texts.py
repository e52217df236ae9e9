"""Texts of items, as prompts show them."""

import pytest

from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.utils.errors import UserError


def test_fields_titles_and_gaps(tmp_path):
    path = tmp_path / "d.item"
    path.write_text(
        "item_id:token\ttitle:token_seq\tbrand:token\tattributes:token_seq\n"
        f"a\ta lamp\t\tred ; lamp\nb\t\tIkea\tx\nc\t{'word ' * 200}\tB\ty\n"
    )
    texts = ItemTexts(path, ["b", "a", "unknown", "c"])
    assert texts.fields(1) == {"title": "a lamp"}  # no attributes, which repeat other fields
    assert texts.fields(2) == {}
    assert [texts.title(code) for code in (0, 1, 2)] == ["Ikea", "a lamp", "unknown"]
    assert len(texts.fields(3)["title"]) <= 602
    assert texts.fields(3)["title"].endswith("word …")
    assert texts.column("brand") == ["Ikea", "", "", "B"]
    whole = ItemTexts(path)
    assert whole.ids == ["a", "b", "c"]
    assert [whole.title(code) for code in (0, 1)] == ["a lamp", "Ikea"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("title:token_seq\nx\n", "no column 'item_id:token'"),
        ("item_id:token\na\n", "no text column besides item_id"),
        ("", "empty file"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "d.item").write_text(content)
    with pytest.raises(UserError, match=rf"d\.item: {message}"):
        ItemTexts(tmp_path / "d.item", ["a"])
