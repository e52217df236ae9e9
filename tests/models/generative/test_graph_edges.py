"""Edges of users and items: of training alone, unless the published leak is asked for."""

import pytest
import torch

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.generative.graph_edges import graph_edges
from recbole_intent.utils.errors import UserError


@pytest.fixture
def train(tiny):
    return load_data(tiny("ISRF")).train._dataset


def _pairs(edges):
    return set(zip(*(side.tolist() for side in edges), strict=True))


def test_edges_are_all_training_interactions(tiny, train):
    users, last = train.clean_users, torch.ones(2, dtype=torch.bool)
    held_out = torch.cat([users[:-2] != users[2:], last])  # of each user the last two
    pairs = set(zip(users[~held_out].tolist(), train.clean_items[~held_out].tolist(), strict=True))
    assert _pairs(graph_edges(tiny("ISRF"), train)) == pairs


def test_what_comes_after_training_changes_no_edge(tiny, train):
    before = _pairs(graph_edges(tiny("ISRF"), train))
    users = train.clean_users
    held_out = torch.cat([users[:-2] != users[2:], torch.ones(2, dtype=torch.bool)])
    train.clean_items = torch.where(held_out, train.clean_items % 39 + 1, train.clean_items)
    assert _pairs(graph_edges(tiny("ISRF"), train)) == before
    published = _pairs(graph_edges(tiny("ISRF", protocol="published"), train))
    assert published - before  # it tells some


def test_the_published_share_is_seeded(tiny, train):
    counts = [len(graph_edges(tiny("ISRF", graph_edges="any"), train)[0]) for _ in range(2)]
    assert counts[0] == counts[1]
    assert 0.3 < counts[0] / len(train.clean_items) < 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"graph_edges": "all"}, "graph_edges: 'all' is not one of auto, train, any"),
        ({"graph_edges": "any", "fast_sequences": False}, "graph_edges: any needs fast_sequences"),
    ],
)
def test_what_cannot_be_is_named(tiny, train, options, message):
    with pytest.raises(UserError, match=message):
        graph_edges(tiny("ISRF", **options), train)
