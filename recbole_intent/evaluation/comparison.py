"""Results of a comparison of models as plain data, the input of tables, pictures and pages."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recbole_intent.evaluation.definitions import metric_of
from recbole_intent.evaluation.metrics import user_values
from recbole_intent.evaluation.ranks import Ranks


@dataclass(frozen=True)
class Comparison:
    """Runs of several models with several seeds on one dataset under one protocol.

    Attributes:
        dataset: name of the dataset.
        labels: labels of the models, in the requested order; some may have no successful run.
        seeds: in the requested order.
        metrics: such as `recall@10`, the keys of `result["test"]`.
        results: (label, seed) -> contents of `result.json`; only successful runs.
        ranks: (label, seed) -> ranks of the test targets, N rows, with the same users and targets
            in the same order in all runs.
        failures: (label, seed) -> why the run failed, one line.
        history_length: (N,) interactions of each row's user in the training split.
        item_popularity: (N,) interactions of each row's target in the training split.
        noise: (label, seed) -> {(kind, ratio): test metrics}; empty unless requested.
        noise_ranks: the ranks behind `noise`, with the same keys.
        inference_seconds: label -> seconds to rank the test targets of 1,000 users.
        reference: the label that the others are tested against, or None.
        by_target: labels of the models evaluated with one list per target (sequential models);
            the others are evaluated with one list per user.
        noise_ranks: as `noise`, ranks.
        ranking: how the runs were ranked, if not as they were trained: `history masked`.
    """

    dataset: str
    labels: list[str]
    seeds: list[int]
    metrics: list[str]
    results: dict[tuple[str, int], dict[str, Any]]
    ranks: dict[tuple[str, int], Ranks]
    failures: dict[tuple[str, int], str]
    history_length: np.ndarray
    item_popularity: np.ndarray
    noise: dict[tuple[str, int], dict[tuple[str, float], dict[str, float]]]
    inference_seconds: dict[str, float]
    reference: str | None
    by_target: frozenset[str] = frozenset()
    noise_ranks: dict[tuple[str, int], dict[tuple[str, float], Ranks]] = field(default_factory=dict)
    ranking: str = ""

    @property
    def tested(self) -> list[str]:
        """The metrics with a value per user: those of tests and of pictures with intervals."""
        return [metric for metric in self.metrics if metric_of(metric).per_user]

    def user_values(self) -> dict[tuple[str, int], np.ndarray]:
        """(label, seed) -> (U, M) values of `tested` per user, users in ascending order."""
        return {
            (label, seed): user_values(ranks, self.tested, label in self.by_target)
            for (label, seed), ranks in self.ranks.items()
        }

    @property
    def candidates(self) -> dict[str, Any] | None:
        """Candidates of the direct task: negatives, seed, hash; None if all items were ranked."""
        first = next(iter(self.results.values()), {})
        return first.get("candidates")

    @property
    def ranked(self) -> str:
        """Describe the items that each target was ranked among."""
        drawn = self.candidates
        among = f"1 + {drawn['negatives']} candidates" if drawn else "all items"
        return f"{among}, {self.ranking}" if self.ranking else among

    def titled(self, title: str) -> str:
        """The title, with a note if not all items were ranked."""
        return f"{title}, {self.ranked}" if self.candidates or self.ranking else title
