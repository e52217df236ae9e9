"""Frequent attribute patterns: small graphs of attributes that occur in many training sessions.

A session's attribute graph has its distinct attributes as nodes and an edge between two of them
that come directly after one another, in either order. As an attribute is a node only once, a
sub-graph is fixed by its set of edges: there are no isomorphisms to search for, and so no need of
canonical codes as in gSpan. Patterns are grown edge by edge, the most frequent one first. A larger
pattern is never more frequent than its parts, so the first K that are complete are exactly the K
most frequent ones, without a threshold and without those that nobody asks for.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class PatternSizes:
    """Which patterns are wanted.

    Attributes:
        min_nodes, max_nodes: number of nodes.
        min_edges, max_edges: number of edges; a pattern is connected.
        min_count: sessions that have it, at least.
        most: number of patterns; the most frequent ones.
    """

    min_nodes: int
    max_nodes: int
    min_edges: int
    max_edges: int
    min_count: int
    most: int


@dataclass(frozen=True, eq=False)
class Patterns:
    """Patterns, the most frequent first.

    Attributes:
        nodes: (P, m) attributes, ascending, 0 after the last.
        linked: (P, m, m) bool: whether two of them have an edge; symmetric.
        count: (P,) training sessions that have each.
    """

    nodes: Whole
    linked: NDArray[np.bool_]
    count: Whole

    def __len__(self) -> int:
        return len(self.count)


def mine_patterns(sessions: Sequence[Whole], sizes: PatternSizes) -> Patterns:
    """Find the most frequent patterns of sessions, exactly.

    A pattern is left out if a larger one within the sizes is in all of its sessions.

    Args:
        sessions: attributes of the items of each session, oldest first, each from 1.
        sizes: which patterns.
    """
    ends, edges_of, sessions_of = _edges(sessions, sizes.min_count)
    heap: list[tuple[int, tuple[int, ...]]]
    heap = [(-len(having), (edge,)) for edge, having in enumerate(sessions_of)]
    heapq.heapify(heap)
    seen = {key for _, key in heap}
    chosen: list[tuple[int, tuple[int, ...]]] = []
    while heap and len(chosen) < sizes.most:
        negative, key = heapq.heappop(heap)
        count, nodes = -negative, np.unique(ends[list(key)])
        larger = _larger(key, nodes, ends, edges_of, sessions_of, sizes)
        for edge, n in larger:
            extended = tuple(sorted((*key, edge)))
            if extended not in seen:
                seen.add(extended)
                heapq.heappush(heap, (-n, extended))
        is_wanted = len(nodes) >= sizes.min_nodes and len(key) >= sizes.min_edges
        if is_wanted and all(n < count for _, n in larger):
            chosen.append((count, key))
    return _as_arrays(chosen, ends, sizes.max_nodes)


def _edges(sessions: Sequence[Whole], min_count: int) -> tuple[Whole, list[Whole], list[Whole]]:
    """The frequent edges: their ends (E, 2), those of each session, and the sessions of each."""
    if not len(sessions):
        return np.empty((0, 2), dtype=np.int64), [], []
    owner = np.repeat(np.arange(len(sessions)), [len(session) for session in sessions])
    values = np.concatenate(sessions)
    is_pair = (owner[1:] == owner[:-1]) & (values[1:] != values[:-1])
    pairs = np.sort(np.stack([values[:-1], values[1:]], axis=1)[is_pair], axis=1)
    rows = np.unique(np.column_stack([owner[:-1][is_pair], pairs]), axis=0)
    ends, edge, count = np.unique(rows[:, 1:], axis=0, return_inverse=True, return_counts=True)
    edge = edge.reshape(-1)
    number = np.cumsum(count >= min_count) - 1
    is_frequent = count[edge] >= min_count
    owner, edge = rows[is_frequent, 0], number[edge[is_frequent]]
    ends = ends[count >= min_count]
    starts = np.searchsorted(owner, np.arange(1, len(sessions)))
    order = np.argsort(edge, kind="stable")
    of_edges = np.searchsorted(edge[order], np.arange(1, max(1, len(ends))))
    sessions_of = np.split(owner[order], of_edges) if len(ends) else []
    return ends.astype(np.int64), np.split(edge, starts), sessions_of


def _larger(
    key: tuple[int, ...],
    nodes: Whole,
    ends: Whole,
    edges_of: Sequence[Whole],
    sessions_of: Sequence[Whole],
    sizes: PatternSizes,
) -> list[tuple[int, int]]:
    """The edges that a pattern may get, with the count of each larger pattern."""
    if len(key) == sizes.max_edges:
        return []
    having = reduce(np.intersect1d, [sessions_of[edge] for edge in key])
    edge, count = np.unique(
        np.concatenate([edges_of[session] for session in having]), return_counts=True
    )
    n_inside = np.isin(ends[edge], nodes).sum(axis=1)
    least = 1 if len(nodes) < sizes.max_nodes else 2
    fits = (count >= sizes.min_count) & (n_inside >= least) & ~np.isin(edge, key)
    return list(zip(edge[fits].tolist(), count[fits].tolist(), strict=True))


def _as_arrays(
    chosen: Sequence[tuple[int, tuple[int, ...]]], ends: Whole, max_nodes: int
) -> Patterns:
    nodes = np.zeros((len(chosen), max_nodes), dtype=np.int64)
    linked = np.zeros((len(chosen), max_nodes, max_nodes), dtype=bool)
    for row, (_, key) in enumerate(chosen):
        own, place = np.unique(ends[list(key)], return_inverse=True)
        a, b = place.reshape(-1, 2).T
        nodes[row, : len(own)] = own
        linked[row, a, b] = linked[row, b, a] = True
    return Patterns(nodes, linked, np.array([count for count, _ in chosen], dtype=np.int64))
