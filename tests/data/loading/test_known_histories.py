"""Whole histories of users: all of what the file has, less the later splits where asked."""

from collections import defaultdict

import pytest
import torch

from recbole_intent.data.loading.known_histories import KnownHistories
from recbole_intent.data.loading.split import load_data


@pytest.fixture
def with_a_lone_user(tmp_path, tiny_path):
    """`tiny` with a user of one interaction and one of two."""
    lines = (tiny_path / "tiny/tiny.inter").read_text()
    (tmp_path / "tiny").mkdir()
    lines += "lone\ti3\t5\npair\ti9\t2\npair\ti8\t1\n"
    (tmp_path / "tiny/tiny.inter").write_text(lines)
    by_user = defaultdict(list)
    for line in lines.splitlines()[1:]:
        user, item, time = line.split("\t")
        by_user[user].append((float(time), item))
    return str(tmp_path), {u: [i for _, i in sorted(rows)] for u, rows in by_user.items()}


def _raw(known: KnownHistories, dataset) -> dict[str, list[str]]:
    users = torch.arange(1, dataset.user_num)
    row, items = known.of_rows(users)
    found = {name: [] for name in dataset.field2id_token["user_id"][1:]}
    for r, item in zip(row.tolist(), items.tolist(), strict=True):
        found[dataset.id2token("user_id", r + 1)].append(dataset.id2token("item_id", item))
    return found


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(("part", "without"), [("all", 0), ("valid", 1), ("train", 2)])
def test_sequential_histories_are_those_of_the_file(tiny, with_a_lone_user, fast, part, without):
    path, by_user = with_a_lone_user
    config = tiny(data_path=path, fast_sequences=fast)
    data = load_data(config)
    found = _raw(KnownHistories.of(config, data, part), data.dataset)
    for user, items in by_user.items():
        if user in ("lone", "pair"):  # too short to be split
            assert found[user] == items
        else:
            assert found[user] == items[: len(items) - without]


@pytest.mark.parametrize(("part", "without"), [("all", 0), ("valid", 1), ("train", 2)])
def test_general_histories_have_the_same_items(tiny, with_a_lone_user, part, without):
    path, by_user = with_a_lone_user
    config = tiny("BPR", data_path=path)
    data = load_data(config)
    found = _raw(KnownHistories.of(config, data, part), data.dataset)
    for user, items in by_user.items():
        if user not in ("lone", "pair"):
            assert sorted(found[user]) == sorted(items[: len(items) - without])
    assert found["lone"] == ["i3"]


def test_new_histories():
    known = KnownHistories.of_items([[3, 4], [], [5]], "item_id_list")
    row, items = known.of_rows(torch.tensor([2, 1, 0]))
    assert row.tolist() == [0, 2, 2]
    assert items.tolist() == [5, 3, 4]
    rows = known.sequences.gather(known.start, known.end - known.start, 2)["item_id_list"]
    assert rows.tolist() == [[3, 4], [0, 0], [5, 0]]
    assert KnownHistories.of_items([[], []], "item_id_list").end.tolist() == [0, 0]
