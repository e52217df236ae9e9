"""Sizes of the splits of a session dataset, compared with those printed in papers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_intent.data.prepare.sessions import PARTS, Sessions

_HEADER = ("part", "", "sessions", "share", "kept", "items", "interactions", "mean length")


@dataclass(frozen=True)
class PartCounts:
    """Size of one split.

    Attributes:
        part: train, valid or test.
        sessions, items, interactions: counts.
        cut: sessions before items unseen in training were removed.
    """

    part: str
    sessions: int
    items: int
    interactions: int
    cut: int


def count_parts(sessions: Sessions, item: np.ndarray) -> list[PartCounts]:
    """Count each split of sessions; `item` (M,) are the codes of their events."""
    of_event = sessions.part[sessions.session]
    return [
        PartCounts(
            name,
            int((sessions.part == index).sum()),
            len(np.unique(item[of_event == index])),
            int((of_event == index).sum()),
            int(sessions.cut[index]),
        )
        for index, name in enumerate(PARTS)
    ]


def parts_table(
    dataset: str, parts: Sequence[PartCounts], papers: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Lines of a table of the splits, each next to those of the papers that print them.

    Args:
        dataset: its name.
        parts: training, validation and test.
        papers: each with `paper` (source of the counts) and, if it prints splits, `parts`:
            name of a split -> [sessions, items, interactions].
    """
    of_papers = {
        str(paper["paper"]): _of_paper(paper["parts"]) for paper in papers if "parts" in paper
    }
    rows: list[tuple[str, ...]] = [_HEADER]
    for index, mine in enumerate(parts):
        rows.append(_row(mine.part, dataset, mine, parts))
        for name, theirs in of_papers.items():
            rows.append(_row("", name, theirs[index], theirs))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    note = "kept: sessions left after items that training does not have were removed"
    if of_papers:
        note += "; a paper's, of an eighth of its training sessions"
    return [*lines, note]


def _of_paper(parts: Mapping[str, Sequence[int]]) -> list[PartCounts]:
    eighth = parts["train"][0] / 8
    before = {"train": parts["train"][0], "valid": round(eighth), "test": round(eighth)}
    counts = []
    for name in PARTS:
        sessions, items, interactions = parts[name]
        counts.append(PartCounts(name, sessions, items, interactions, before[name]))
    return counts


def _row(first: str, name: str, of: PartCounts, all_parts: Sequence[PartCounts]) -> tuple[str, ...]:
    total = sum(part.sessions for part in all_parts)
    return (
        first,
        name,
        f"{of.sessions:,}",
        f"{of.sessions / total:.1%}",
        f"{of.sessions / of.cut:.1%}",
        f"{of.items:,}",
        f"{of.interactions:,}",
        f"{of.interactions / of.sessions:.2f}",
    )
