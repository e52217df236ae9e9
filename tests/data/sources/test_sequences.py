import pytest

from recbole_intent.data.sources import read
from recbole_intent.utils.errors import UserError


def test_order_is_the_place_in_the_line(write):
    write("item2attributes.json", '{"5": [1, 2], "7": [3]}')
    raw = read(write("x.txt.gz", "1 7 5 7\n2 5 9\n").parent)
    frame = raw.interactions
    assert frame["item_id"].tolist() == ["7", "5", "7", "5", "9"]
    assert frame["position"].tolist() == [0, 1, 2, 0, 1]
    assert frame["timestamp"].isna().all()
    assert raw.place(3).endswith("line 2")
    assert raw.items.values.tolist() == [["5", "1 2"], ["7", "3"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 7 5\n1 2\n", "line 2: user '1' stands twice"),
        ("1 7 5\n2\n", "line 2: user '2' has no items"),
    ],
)
def test_bad_lines(write, text, message):
    with pytest.raises(UserError, match=message):
        read(write("x.txt", text))


def test_a_line_of_spaces_is_blank(write):
    assert len(read(write("x.txt", "1 7 5\n \t\n2 7 5\n")).interactions) == 4


def test_bad_attributes(write):
    write("item2attributes.json", '{"5": [1, 2], "7": [')
    with pytest.raises(UserError, match=r"item2attributes\.json line 1: not JSON"):
        read(write("x.txt", "1 7 5\n").parent)


def test_real_sequences_agree_with_the_table(shared_datasets):
    """The plain form and the table are the same data: equal sequences up to the item's name."""
    table = read(shared_datasets / "amazon-toys").interactions
    plain = read(shared_datasets / "amazon-toys" / "sequences.txt.gz").interactions
    assert len(plain) == len(table)

    def patterns(frame):
        ordered = frame.sort_values(["user_id", "position"])
        popularity = ordered.groupby("item_id", observed=True)["position"].transform("size")
        return sorted(popularity.groupby(ordered["user_id"], observed=True).agg(tuple))

    assert patterns(plain) == patterns(table)
