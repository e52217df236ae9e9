import pytest

from recbole_intent.data.sources import read
from recbole_intent.utils.errors import UserError

INTER = "user_id:token\titem_id:token\tlabel:float\ttimestamp:float\nu\ta\t1\t5\nu\tb\t\t6\n"


def test_all_columns_and_types_are_copied(write):
    write("x.item", "item_id:token\tgenre:token_seq\na\tWar Drama\nb\t\n")
    write("x.user", "user_id:token\tage:token\nu\t24\n")
    raw = read(write("x.inter", INTER).parent)
    assert raw.interactions["label"].tolist()[0] == 1
    assert [raw.type_of(name) for name in ("label", "genre", "age")] == [
        "float",
        "token_seq",
        "token",
    ]
    assert raw.items["genre"].tolist() == ["War Drama", ""]
    assert raw.users["age"].tolist() == ["24"]


def test_missing_column_and_two_candidates(write):
    path = write("x.inter", "user_id:token\titem_id:token\nu\ta\n")
    with pytest.raises(UserError, match=r"x\.inter: no column 'timestamp'"):
        read(path)
    write("y.inter", INTER)
    with pytest.raises(UserError, match=r"x\.inter and y\.inter both"):
        read(path.parent)
