"""A comparison to draw, with ranks that are drawn by chance and metrics that are counted."""

from collections.abc import Callable

import numpy as np
import pytest

from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.metrics import evaluate
from recbole_intent.evaluation.ranks import Ranks

LONG = [
    *(f"IGRSR variant {i} with <b> & $a name$ that is {'long ' * i}" for i in range(8)),
    "VELI4SBR-with-one-word-that-nothing-allows-to-break-but-its-hyphens",
    "one_word_without_any_place_to_break_it_in_two_or_even_three_lines",
]
METRICS = ("recall@5", "recall@10", "ndcg@5", "ndcg@10", "mrr@10")


@pytest.fixture(scope="session")
def make_comparison() -> Callable[..., Comparison]:
    """Make a comparison: `make_comparison(["A", "B"], seeds=(1, 2), ratios=(0.2,))`."""

    def make(labels, seeds=(2020, 2021), metrics=METRICS, ratios=(), n=300, **changes):
        candidates = changes.pop("candidates", None)
        rng = np.random.default_rng(7)
        user, target = np.arange(n), rng.integers(1, 500, n)
        results, ranks, noise = {}, {}, {}
        for i, label in enumerate(labels):
            for seed in seeds:
                found = Ranks(user, target, np.ceil(rng.lognormal(3 - 0.1 * i, 2, n)))
                test = {}
                for metric in metrics:
                    name, _, k = metric.partition("@")
                    test |= evaluate(found, [name], [int(k)])
                history = [
                    {
                        "epoch": epoch,
                        "seconds": 30.0,
                        "valid": {name: value * (1 - 0.5**epoch) for name, value in test.items()},
                    }
                    for epoch in range(4 + i)
                ]
                results[label, seed] = {
                    "model": label,
                    "seed": seed,
                    "test": test,
                    "valid": history[-1]["valid"],
                    "history": history,
                    "best_epoch": len(history) - 1,
                    "seconds": 30.0 * len(history) * 3.0 ** (i % 4),
                    "pretraining_seconds": 60.0 * (i % 2),
                    "peak_memory_mib": 800.0,
                    "parameters": 10_000,
                    "candidates": candidates,
                    "mask_history": False,
                    "versions": {"torch": "2"},
                    "approximations": [],
                }
                ranks[label, seed] = found
                noise[label, seed] = {
                    (kind, ratio): {name: value * (1 - ratio) for name, value in test.items()}
                    for kind in ("replace", "delete")
                    for ratio in ratios
                }
        given = {
            "dataset": "amazon-toys",
            "labels": list(labels),
            "seeds": list(seeds),
            "metrics": list(metrics),
            "results": results,
            "ranks": ranks,
            "failures": {},
            "history_length": rng.geometric(0.2, n) + 2,
            "item_popularity": rng.geometric(0.05, n),
            "noise": noise if ratios else {},
            "inference_seconds": dict.fromkeys(labels, 0.5),
            "reference": labels[0],
        }
        return Comparison(**{**given, **changes})

    return make


@pytest.fixture(scope="session")
def long_labels() -> list[str]:
    """Ten labels that are hard to draw."""
    return LONG
