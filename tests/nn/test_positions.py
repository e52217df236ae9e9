"""Positions from the start or from the end of a history."""

import torch

from recbole_intent.nn.positions import END, START, position_vectors

TABLE = torch.arange(6.0).unsqueeze(1)


def test_from_the_start_all_rows_are_alike():
    assert position_vectors(TABLE, torch.tensor([2, 4]), 4, START).flatten().tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_from_the_end_the_last_item_has_position_0():
    vectors = position_vectors(TABLE, torch.tensor([2, 4]), 4, END).squeeze(-1)
    assert vectors[0, :2].tolist() == [1, 0]
    assert vectors[1].tolist() == [3, 2, 1, 0]


def test_several_prefixes_count_from_the_longest():
    vectors = position_vectors(TABLE, torch.tensor([[1, 3, 2]]), 3, END).squeeze(-1)
    assert vectors.tolist() == [[2, 1, 0]]
