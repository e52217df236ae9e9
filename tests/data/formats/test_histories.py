"""Files of histories: what is read, and the line of what cannot be."""

import pytest

from recbole_intent.data.formats.histories import History, read_histories, read_users
from recbole_intent.utils.errors import UserError


def test_json_lines_and_csv(write):
    path = write(
        "a.jsonl",
        '\ufeff["i1", "é 漢"]\n\n{"user": "Zoë", "items": [7, "i,1"]}\r\n[]\n{"items": ["x"]}',
    )
    assert list(read_histories(path)) == [
        History(["i1", "é 漢"]),
        History(["7", "i,1"], "Zoë"),
        History([]),
        History(["x"]),
    ]
    path = write("b.CSV", 'i1, é 漢,\n\n""\n"i,1","say ""i"""\n')
    assert list(read_histories(path)) == [
        History(["i1", "é 漢"]),
        History([]),
        History(["i,1", 'say "i"']),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "userId,movieId,rating,timestamp\n1,50,4.0,2\n1,172,3.0,1\n2,1,5.0,3\n"),
        ("a.csv", ",user_id,item_id,timestamp\n0,1,50,2\n1,1,172,1\n2,2,1,3\n"),
        ("a.tsv", "visitorid\titemid\tts\n1\t172\t1\n1\t50\t2\n2\t1\t3\n"),
    ],
    ids=range(3),
)
def test_a_table_goes_by_usual_names_too(write, name, text):
    """A header taken for a history, and users for items, would be lists without a word."""
    expected = [History(["172", "50"], "1"), History(["1"], "2")]
    assert list(read_histories(write(name, text))) == expected


def test_users(write):
    assert list(read_users(write("u.txt", " u1\n\nÜ 2\r\n"))) == ["u1", "Ü 2"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '["i1"]\n["i1"\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "i1 i2\n", "a.jsonl:1: not JSON"),
        ("a.jsonl", '"i1"\n', "a.jsonl:1: expected a list of item ids, found str"),
        ("a.jsonl", '["i1", 1.5]\n', "a.jsonl:1: item 1.5 is not an id"),
        ("a.jsonl", '["i1", true]\n', "a.jsonl:1: item True is not an id"),
        ("a.jsonl", '[["i1"]]\n', r"a.jsonl:1: item \['i1'\] is not an id"),
        ("a.jsonl", '\n{"user": "u"}\n', "a.jsonl:2: lacks `items`"),
        ("a.jsonl", '{"user": [], "items": []}\n', r"a.jsonl:1: user \[\] is not an id"),
        ("a.jsonl", '{"usr": "u", "items": []}\n', "a.jsonl:1: 'usr': unknown key"),
        ("a.jsonl", b'["i1"]\n["\xff"]\n', "a.jsonl:2: not UTF-8"),
        ("a.csv", 'i1,i2\ni1,"i2"x\n', "a.csv:2: not CSV"),
        ("a.csv", b"i1\n\xff\n", "a.csv:2: not UTF-8"),
    ],
    ids=range(12),
)
def test_a_bad_line_is_named(write, name, content, message):
    with pytest.raises(UserError, match=message):
        list(read_histories(write(name, content)))


def test_an_absent_file_is_named(tmp_path):
    for read in (read_histories, read_users):
        with pytest.raises(UserError, match=r"gone\.jsonl: no such file"):
            list(read(tmp_path / "gone.jsonl"))


def test_lines_are_read_one_by_one(write):
    """What stands before a bad line is there before the bad line is met."""
    histories = read_histories(write("a.jsonl", '["i1"]\nnonsense\n'))
    assert next(histories) == History(["i1"])
