"""The direct task's training batches: whose items, which negatives, and what they never see."""

import numpy as np
import pytest
import torch

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.generative.direct_batches import CANDIDATES, Alternating, DirectBatches
from recbole_intent.utils.errors import UserError


@pytest.fixture
def data(tiny):
    return load_data(tiny("ISRF"))


def _histories(dataset) -> dict[int, set[int]]:
    pairs = dataset.inter_matrix(form="coo")
    found: dict[int, set[int]] = {}
    for user, item in zip(pairs.row.tolist(), pairs.col.tolist(), strict=True):
        found.setdefault(user, set()).add(item)
    return found


def test_every_user_once_with_a_training_item_and_others(tiny, data):
    train = data.train._dataset
    batches = DirectBatches(tiny("ISRF", train_batch_size=16), train)
    histories, users, places = _histories(train), [], []
    epoch = list(batches.epoch(0))
    assert len(epoch) == len(batches)
    for batch in epoch:
        for user, item, candidates in zip(
            *(batch[name].tolist() for name in ("user_id", "item_id", CANDIDATES)), strict=True
        ):
            users.append(user)
            places.append(candidates.index(item))
            assert item in histories[user]
            others = set(candidates) - {item}
            assert len(others) == 9
            assert others <= set(range(1, 41)) - histories[user]
    assert sorted(users) == sorted(histories)
    assert len(set(places)) == 10  # the answer has no place of its own


def test_epochs_differ_and_repeat(tiny, data):
    batches = DirectBatches(tiny("ISRF"), data.train._dataset)
    first, again, second = (next(batches.epoch(n))[CANDIDATES] for n in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_what_comes_after_training_changes_no_batch(tiny, data):
    train = data.train._dataset
    before = next(DirectBatches(tiny("ISRF"), train).epoch(3))
    users = train.clean_users
    held_out = torch.cat([users[:-2] != users[2:], torch.ones(2, dtype=torch.bool)])
    train.clean_items = torch.where(held_out, train.clean_items % 39 + 1, train.clean_items)
    after = next(DirectBatches(tiny("ISRF"), train).epoch(3))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_held_out_items_are_among_items_new_to_the_user(tiny, data):
    train, rows = data.train._dataset, data.valid.dataset.inter_feat
    batches = DirectBatches(tiny("ISRF", train_batch_size=16), train)
    users, items = rows["user_id"].numpy(), rows["item_id"].numpy()
    histories = _histories(train)
    found = list(batches.held_out(users, items))
    assert np.concatenate([batch["user_id"] for batch in found]).tolist() == users.tolist()
    for batch in found:
        own = zip(batch["user_id"], batch["item_id"], batch[CANDIDATES], strict=True)
        for user, item, candidates in own:
            assert int(item) in candidates.tolist()
            others = set(candidates.tolist()) - {int(item)}
            assert len(others) == 9
            assert not others & histories[int(user)]
    again = batches.held_out(users, items)
    assert torch.equal(next(again)[CANDIDATES], found[0][CANDIDATES])


def test_too_few_items_are_named_with_what_is_possible(tiny, data):
    train = data.train._dataset
    with pytest.raises(UserError, match=r"n_negatives: 99.*give --n_negatives=(\d+)") as error:
        DirectBatches(tiny("ISRF", n_negatives=99), train)
    most = int(str(error.value).rpartition("=")[2])
    DirectBatches(tiny("ISRF", n_negatives=most), train)
    with pytest.raises(UserError):
        DirectBatches(tiny("ISRF", n_negatives=most + 1), train)


def test_batches_take_turns_in_proportion():
    parts = [(2, iter("ab")), (6, iter("123456"))]
    turns = list(Alternating(parts, by_batch=True))
    assert len(turns) == 8
    assert [x for x in turns if x.isdigit()] == list("123456")
    assert turns.index("a") < 4 <= turns.index("b")
    parts = [(2, iter("ab")), (3, iter("123"))]
    assert list(Alternating(parts, by_batch=False)) == list("ab123")
    assert len(Alternating(parts, by_batch=False)) == 5
