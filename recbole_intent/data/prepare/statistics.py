"""Counts of a prepared dataset, compared with the counts printed in papers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recbole_intent.data.prepare.session_counts import PartCounts, parts_table

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
COUNTS = ("users", "items", "interactions")


@dataclass(frozen=True)
class Statistics:
    """Size of a dataset.

    Attributes:
        dataset: its name.
        users, items, interactions: counts (no padding item).
        lengths: quantile in [0, 1] → interactions of a user at that quantile.
        mean_length: interactions per user.
        users_without_time: users with a known order but without times.
        parts: sizes of training, validation and test, if users are sessions.
    """

    dataset: str
    users: int
    items: int
    interactions: int
    lengths: dict[float, float]
    mean_length: float
    users_without_time: int = 0
    parts: tuple[PartCounts, ...] = ()

    @classmethod
    def of(
        cls, dataset: str, users: np.ndarray, items: np.ndarray, users_without_time: int = 0
    ) -> "Statistics":
        """Count interactions given as int codes of users and items."""
        lengths = np.bincount(users)
        lengths = lengths[lengths > 0]
        quantiles = np.quantile(lengths, QUANTILES)
        return cls(
            dataset,
            len(lengths),
            len(np.unique(items)),
            len(users),
            dict(zip(QUANTILES, map(float, quantiles), strict=True)),
            float(lengths.mean()),
            users_without_time,
        )

    @property
    def density(self) -> float:
        """Share of all user-item pairs that are interactions, in [0, 1]."""
        return self.interactions / (self.users * self.items)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        lengths = {f"{quantile:g}": value for quantile, value in self.lengths.items()}
        values = {**asdict(self), "lengths": lengths, "density": self.density}
        if not self.parts:
            del values["parts"]
        return values

    def table(self, papers: Sequence[Mapping[str, Any]] = ()) -> str:
        """Format the counts next to those of papers.

        Args:
            papers: each with `paper` (source of the counts) and any of `users`, `items`,
                `interactions`; `counts_padding: true` if the printed number of items includes the
                padding item; `note` if the counts are of something else; `parts` as in
                `parts_table`.

        Returns:
            A table of several lines; each printed count is marked as equal or not.
        """
        rows = [("", self.dataset, *(str(paper["paper"]) for paper in papers))]
        for name in COUNTS:
            mine = getattr(self, name)
            label = "sessions" if name == "users" and self.parts else name
            rows.append((label, f"{mine:,}", *(_verdict(mine, name, paper) for paper in papers)))
        rows.append(("density", f"{self.density:.4%}"))
        rows.append(("mean length", f"{self.mean_length:.2f}"))
        for quantile, value in self.lengths.items():
            name = {0.0: "shortest", 0.5: "median", 1.0: "longest"}.get(quantile, f"{quantile:.0%}")
            rows.append((f"length, {name}", f"{value:g}"))
        if self.users_without_time:
            left_out = " (left out)" if self.parts else ""
            rows.append((f"users without time{left_out}", f"{self.users_without_time:,}"))
        widths = [
            max(len(row[column]) for row in rows if column < len(row))
            for column in range(len(rows[0]))
        ]
        lines = [
            "  ".join(
                cell.ljust(width) if column != 1 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=False))
            ).rstrip()
            for row in rows
        ]
        if self.parts:
            lines += ["", *parts_table(self.dataset, self.parts, papers)]
        lines += [f"{paper['paper']}: {paper['note']}" for paper in papers if paper.get("note")]
        return "\n".join(lines)


def _verdict(mine: int, name: str, paper: Mapping[str, Any]) -> str:
    if name not in paper:
        return "-"
    printed = int(paper[name])
    if printed == mine:
        return f"{printed:,} equal"
    if name == "items" and paper.get("counts_padding") and printed == mine + 1:
        return f"{printed:,} equal (counts padding)"
    return f"{printed:,} NOT equal ({mine - printed:+,})"
