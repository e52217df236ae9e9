"""Lines of items and users by the .item file alone."""

import pytest

from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.enrich.profiles.plain_texts import PlainTexts

ITEMS = """item_id:token\tdescription:token_seq\ttitle:token_seq\tbrand:token\tcategories:token_seq
a\tGives light.\tred lamp\tIkea\tHome > Lamps
b\t\tblue lamp\tIkea\tHome > Lamps
c\t\toak chair\t\tHome > Chairs
d\t\t\t\t
"""


@pytest.fixture
def texts(tmp_path) -> PlainTexts:
    (tmp_path / "d.item").write_text(ITEMS)
    return PlainTexts(ItemTexts(tmp_path / "d.item"), ["x"])


def test_an_item_is_its_title_then_what_is_short_then_the_rest(texts):
    assert texts.item[0] == "red lamp. brand: Ikea. categories: Home > Lamps. Gives light."
    assert texts.brief[0] == "red lamp. brand: Ikea. categories: Home > Lamps"
    assert texts.item[2] == "oak chair. categories: Home > Chairs"
    assert texts.item[3:] == ["d", "x"]  # nothing is known but the id
    assert texts.has_text == [True, True, True, False, False]


def test_a_user_is_the_telling_names_and_the_titles(texts):
    # 3 log(4 / 2), 1 log(4 / 1), 4 log(4 / 3)
    assert texts.user([2, 0, 1, 0]) == (
        "Categories: Lamps, Chairs, Home. Brands: Ikea. Items: oak chair; red lamp; blue lamp"
    )
    assert texts.user([3, 4]) == "Items: d; x"


def test_items_that_the_catalogue_lacks_change_nothing_of_the_others(texts, tmp_path):
    more = PlainTexts(ItemTexts(tmp_path / "d.item"), [f"x{n}" for n in range(50)])
    assert more.ids[:5] == ["a", "b", "c", "d", "x0"]
    assert more.user([2, 0, 1, 0]) == texts.user([2, 0, 1, 0])
    assert more.item[:4] == texts.item[:4]


def test_no_categories_no_brands(tmp_path):
    (tmp_path / "d.item").write_text("item_id:token\tmovie_title:token_seq\na\tHeat\nb\tBabe\n")
    texts = PlainTexts(ItemTexts(tmp_path / "d.item", ["b", "a"]))
    assert texts.item == ["Babe", "Heat"]
    assert texts.user([1, 0]) == "Items: Heat; Babe"


def test_a_description_that_is_all_there_is_stands_once(tmp_path):
    (tmp_path / "d.item").write_text("item_id:token\tdescription:token_seq\na\tGives light.\n")
    texts = PlainTexts(ItemTexts(tmp_path / "d.item"))
    assert texts.item == texts.brief == ["Gives light."]
