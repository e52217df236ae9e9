"""Mining gives the patterns that an enumeration of all sub-graphs gives."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest

from recbole_intent.models.fapat.patterns import PatternSizes, mine_patterns

ALL = 10**6


def _edges(session):
    pairs = zip(session[:-1].tolist(), session[1:].tolist(), strict=True)
    return {tuple(sorted(pair)) for pair in pairs if pair[0] != pair[1]}


def _is_connected(edges):
    reached, left = set(edges[0]), list(edges[1:])
    while touching := [edge for edge in left if reached & set(edge)]:
        reached.update(*touching)
        left = [edge for edge in left if edge not in touching]
    return not left


def _enumerated(sessions, sizes):
    """Edge set -> count, from all subsets of the edges of each session."""
    having = defaultdict(set)
    for number, session in enumerate(sessions):
        edges = sorted(_edges(session))
        for k in range(1, sizes.max_edges + 1):
            for chosen in combinations(edges, k):
                nodes = {node for edge in chosen for node in edge}
                if len(nodes) <= sizes.max_nodes and _is_connected(chosen):
                    having[frozenset(chosen)].add(number)
    count = {key: len(of) for key, of in having.items() if len(of) >= sizes.min_count}
    return {
        key: n
        for key, n in count.items()
        if len(key) >= sizes.min_edges
        and len({node for edge in key for node in edge}) >= sizes.min_nodes
        and not any(key < other and n == m for other, m in count.items())
    }


def _as_sets(patterns):
    counts = {}
    for nodes, linked, count in zip(patterns.nodes, patterns.linked, patterns.count, strict=True):
        assert (linked == linked.T).all()
        i, j = np.triu(linked).nonzero()
        counts[frozenset(zip(nodes[i].tolist(), nodes[j].tolist(), strict=True))] = int(count)
    return counts


@pytest.mark.parametrize("limits", [(3, 4, 3, 6, 2), (2, 3, 1, 3, 3), (2, 5, 2, 4, 1)])
def test_patterns_are_those_of_an_enumeration(limits):
    rng = np.random.default_rng(2)
    sessions = [rng.integers(1, 7, size=rng.integers(0, 9)) for _ in range(90)]
    sizes = PatternSizes(*limits, most=ALL)
    expected = _enumerated(sessions, sizes)
    patterns = mine_patterns(sessions, sizes)
    assert len(expected) >= 10
    assert _as_sets(patterns) == expected
    assert (np.diff(patterns.count) <= 0).all()
    few = mine_patterns(sessions, PatternSizes(*limits, most=10))
    assert few.count.tolist() == sorted(expected.values(), reverse=True)[:10]


@pytest.mark.parametrize("sessions", [[], [np.array([], dtype=int)], [np.array([1, 1, 2])]])
def test_there_may_be_none(sessions):
    patterns = mine_patterns(sessions, PatternSizes(3, 4, 3, 6, 1, ALL))
    assert len(patterns) == 0
    assert patterns.nodes.shape == (0, 4)
