"""Looks differ and stay the same; names and legends fit."""

from itertools import pairwise

import pytest

from recbole_intent.plotting.style import (
    PALETTE,
    legend_columns,
    looks,
    metric_name,
    wrapped,
)


def test_thirty_labels_look_different_and_keep_their_look():
    labels = [f"model {i}" for i in range(30)]
    found = looks(labels)
    assert len({(look.colour, look.dash) for look in found.values()}) == 30
    assert [found[label].colour for label in labels[:10]] == PALETTE
    assert looks(labels[:3]) == {label: found[label] for label in labels[:3]}
    # Without colours, neighbours still differ by their markers.
    assert all(found[a].marker != found[b].marker for a, b in pairwise(labels))


@pytest.mark.parametrize(
    ("metric", "name"),
    [("ndcg@10", "NDCG@10"), ("recall@5", "Recall@5"), ("mrr@1", "MRR@1"), ("hit@20", "Hit@20")],
)
def test_metric_names(metric, name):
    assert metric_name(metric) == name


def test_wrapped_keeps_every_letter():
    label = "a name of several words and_one_that_is_longer_than_a_line"
    lines = wrapped(label, 12).split("\n")
    assert max(map(len, lines)) <= 12
    assert "".join(lines).replace(" ", "") == label.replace(" ", "")
    assert wrapped("") == ""


def test_a_legend_has_no_more_columns_than_labels_or_room():
    assert legend_columns(["A", "B"], 8.0) == 2
    assert legend_columns(["x" * 500] * 3, 8.0) == 1
    assert legend_columns([], 8.0) >= 0
    assert legend_columns(["x" * 20] * 9, 8.0) < legend_columns(["x" * 5] * 9, 8.0)
