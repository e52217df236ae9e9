"""Ids of items: permutations, P5's leak, paths in a tree."""

import itertools

import numpy as np
import pytest
import torch

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.generative.item_ids import item_ids, random_ids, sequential_ids, tree_ids
from recbole_intent.utils.errors import UserError


def test_random_ids_are_a_seeded_permutation():
    ids = random_ids(50, 3)
    assert ids[0] == ""
    assert sorted(map(int, ids[1:])) == list(range(1, 50))
    assert ids == random_ids(50, 3) != random_ids(50, 4)


def test_sequential_ids_follow_the_histories():
    ids = sequential_ids(np.array([4, 2, 4, 5, 2, 1]), 7)
    assert ids == ["", "4", "2", "5", "1", "3", "6"]  # 3 and 6 have no interaction


def test_of_a_tree_no_id_begins_another_and_like_items_share_digits():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 8)) * 10
    group = np.arange(300) % 4
    vectors = np.concatenate([np.zeros((1, 8)), centres[group] + rng.normal(size=(300, 8))])
    ids = tree_ids(vectors, 0)[1:]
    assert len(set(ids)) == 300
    ordered = sorted(ids)
    pairs = itertools.pairwise(ordered)
    assert not any(later.startswith(earlier) for earlier, later in pairs)
    leading = {}
    for name, number in zip(ids, group.tolist(), strict=True):
        leading.setdefault(name[0], set()).add(number)
    assert all(len(groups) == 1 for groups in leading.values())
    assert tree_ids(vectors, 0)[1:] == ids


def test_a_tree_of_equal_items_ends():
    assert len(set(tree_ids(np.ones((36, 3)), 0)[1:])) == 35


def test_the_property_chooses(tiny):
    data = load_data(tiny("ISRF")).train._dataset
    vectors = np.random.default_rng(1).normal(size=(data.item_num, 4))
    published = sequential_ids(data.clean_items.numpy(), data.item_num)
    assert item_ids(tiny("ISRF", protocol="published"), data, None) == published
    assert item_ids(tiny("ISRF", item_ids="sequential_p5"), data, None) == published
    assert item_ids(tiny("ISRF"), data, None) == random_ids(data.item_num, tiny("ISRF")["seed"])
    assert item_ids(tiny("ISRF", item_ids="tree"), data, vectors) == tree_ids(vectors, 2020)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item_ids": "tree"}, "item_ids: tree needs texts"),
        ({"item_ids": "sequential"}, "item_ids: 'sequential' is not one of auto, random"),
        ({"item_ids": "sequential_p5", "fast_sequences": False}, "needs fast_sequences: True"),
    ],
)
def test_what_cannot_be_is_named(tiny, options, message):
    data = load_data(tiny("ISRF")).train._dataset
    with pytest.raises(UserError, match=message):
        item_ids(tiny("ISRF", **options), data, None)


def test_only_p5s_numbering_knows_what_comes_after_training(tiny):
    """With other validation and test items, random ids and trees are as they were."""
    data = load_data(tiny("ISRF")).train._dataset
    before = {kind: item_ids(tiny("ISRF", item_ids=kind), data, None) for kind in ("random",)}
    leak = sequential_ids(data.clean_items.numpy(), data.item_num)
    held_out = torch.tensor([True]).repeat(len(data.clean_items))
    users = data.clean_users
    held_out[:-2] = (users[:-2] != users[1:-1]) | (users[:-2] != users[2:])
    data.clean_items = torch.where(held_out, data.clean_items % 39 + 1, data.clean_items)
    assert item_ids(tiny("ISRF", item_ids="random"), data, None) == before["random"]
    assert sequential_ids(data.clean_items.numpy(), data.item_num) != leak
