"""Training sessions are read, and nothing of the others."""

import numpy as np
import pytest

from recbole_intent.enrich.training_sessions import (
    choose,
    draw_candidates,
    read_training_sessions,
)
from recbole_intent.errors import UserError

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


@pytest.fixture
def dataset(tmp_path):
    def write(inter: str, split: str):
        (tmp_path / "d.inter").write_text(HEADER + inter)
        (tmp_path / "d.split").write_text("user_id:token\tpart:token\n" + split)
        return tmp_path

    return write


def test_order_is_that_of_the_file_and_of_time(dataset):
    inter = "b\t2\t9\na\t1\t5\nv\t7\t1\nb\t1\t3\na\t3\t5\nv\t8\t2\n"
    found = read_training_sessions(dataset(inter, "a\ttrain\nb\ttrain\nv\tvalid\n"), "d")
    assert list(found.ids) == ["b", "a"]
    assert [list(found.item_ids[found.of(i)]) for i in (0, 1)] == [["1", "2"], ["1", "3"]]
    assert set(found.item_ids) == {"1", "2", "3"}  # 7 and 8 are of validation


@pytest.mark.parametrize(
    ("inter", "split", "message"),
    [
        ("a\t1\t5\na\t2\t6\n", "b\ttrain\n", "session 'a' is not in d.split"),
        ("a\t1\t5\na\t2\t6\n", "a\ttest\n", "no training session"),
        ("a\t1\t5\n", "a\ttrain\n", "session 'a' has two items"),
        ("a\t1\tlate\n", "a\ttrain\n", "d.inter: "),
        ("a\t1\t5\n", "a\ttraining\n", "d.split:2: 'training' is none of"),
    ],
)
def test_bad_files_are_named(dataset, inter, split, message):
    with pytest.raises(UserError, match=message):
        read_training_sessions(dataset(inter, split), "d")


def test_absent_files_are_named(tmp_path, dataset):
    with pytest.raises(UserError, match=r"d\.split: no such file"):
        read_training_sessions(tmp_path, "d")
    dataset("", "a\ttrain\n")
    (tmp_path / "d.inter").unlink()
    with pytest.raises(UserError, match=r"d\.inter: no such file"):
        read_training_sessions(tmp_path, "d")


def test_candidates_hold_the_target_and_no_other_item_of_the_session():
    items, places = np.array([4, 9, 2, 4, 7]), []
    for number in range(200):
        drawn = draw_candidates(f"s{number}", items, 30, 5, seed=1)
        assert len(set(drawn.tolist())) == 6
        assert set(drawn.tolist()) & set(items.tolist()) == {7}
        places.append(drawn.tolist().index(7))
    assert min(np.bincount(places, minlength=6)) > 15  # its place tells nothing
    again = draw_candidates("s0", items, 30, 5, seed=1)
    assert np.array_equal(again, draw_candidates("s0", items, 30, 5, seed=1))
    assert not np.array_equal(again, draw_candidates("s0", items, 30, 5, seed=2))


def test_samples_are_nested(shop):
    sessions = read_training_sessions(shop / "shop", "shop")
    chosen = [set(choose(sessions, share, None, 1).tolist()) for share in (0.01, 0.25, 0.7, 1.0)]
    assert [len(c) for c in chosen] == [1, 6, 17, 24]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]
    assert list(choose(sessions, 1.0, 3, 1)) == [0, 1, 2]
    assert chosen[1] != set(choose(sessions, 0.25, None, 2).tolist())
