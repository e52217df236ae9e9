"""The tables of a comparison say what its runs say."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from recbole_intent.compare.comparison_tables import (
    cost_table,
    gain_table,
    mean_sd,
    mean_test,
    metric_table,
    noise_table,
    runs_table,
)
from recbole_intent.compare.difference_tables import (
    p_text,
    seed_table,
    significance_table,
    wins_table,
)
from recbole_intent.evaluation.metrics import per_user
from recbole_intent.evaluation.significance import PairedTest, best_baselines, paired_tests
from recbole_intent.plotting.tables import signed_percent

LABELS = ["ours", "A", "B", "never"]


def test_tables_of_the_direct_task_say_what_was_ranked(make_comparison):
    drawn = {"negatives": 99, "seed": 4, "hash": "0123456789abcdef"}
    found, usual = (
        make_comparison(["A", "B"], (1,), candidates=candidates) for candidates in (drawn, None)
    )
    for result in (*found.results.values(), *usual.results.values()):
        result["epochs"] = 9
    table = metric_table(found, {}, [])
    assert table.title == "Test metrics on amazon-toys, 1 + 99 candidates"
    assert any("99 items outside the user's full history" in note for note in table.notes)
    assert any("seed 4, hash 0123456789" in note for note in table.notes)
    assert gain_table(found, {}, []).title == "Gain over the best baseline, 1 + 99 candidates"
    assert "ranking of 1 + 99 candidates" in cost_table(found).notes[0]
    assert metric_table(usual, {}, []).title == "Test metrics on amazon-toys"
    assert "ranking of all items" in cost_table(usual).notes[0]


@pytest.fixture
def comparison(make_comparison):
    """Three models with two seeds, one of them with one, and one without any run."""
    found = make_comparison(LABELS[:3], seeds=(1, 2), ratios=(0.1, 0.2))
    failures = {("never", 1): "out of memory", ("never", 2): "out of memory", ("B", 2): "other"}
    kept = {
        name: {key: value for key, value in getattr(found, name).items() if key != ("B", 2)}
        for name in ("results", "ranks", "noise")
    }
    kept["results"] = {
        key: {**result, "epochs": 9, "commit": "abc"} for key, result in kept["results"].items()
    }
    return dataclasses.replace(found, labels=LABELS, failures=failures, **kept)


def _tests(comparison, opponents=None):
    values = {
        key: np.stack(
            [per_user(ranks, *_parts(metric))[1] for metric in comparison.metrics], axis=1
        )
        for key, ranks in comparison.ranks.items()
    }
    best = best_baselines(mean_test(comparison), comparison.metrics, "ours")
    return best, paired_tests(values, comparison.metrics, opponents or best), values


def _parts(metric: str) -> tuple[str, int]:
    name, _, k = metric.partition("@")
    return name, int(k)


def _row(table, *first):
    texts = [[getattr(cell, "text", cell) for cell in row] for row in table.rows]
    (row,) = [row for row in texts if tuple(row[: len(first)]) == first]
    return row


def test_mean_and_sd():
    assert mean_sd([]) == "–"
    assert mean_sd([0.5]) == "0.5000"
    assert mean_sd([1.0, 2.0, 3.0], 1) == "2.0 ± 1.0"


def test_metrics_and_failures(comparison):
    best, tests, _ = _tests(comparison)
    table = metric_table(comparison, best, tests)
    assert _row(table, "never") == ["never", "0", *["–"] * len(comparison.metrics)]
    values = [comparison.results["ours", s]["test"]["ndcg@10"] for s in (1, 2)]
    column = table.header.index("ndcg@10")
    assert _row(table, "ours")[column].rstrip("*") == mean_sd(values)
    record = table.records[0]
    assert record["ndcg@10"] == np.mean(values)
    assert record["ndcg@10 sd"] == pytest.approx(np.std(values, ddof=1))
    assert table.records[3]["ndcg@10"] is None
    assert any("never, seeds 1, 2, failed: out of memory." in note for note in table.notes)
    assert any("B, seed 2, failed: other." in note for note in table.notes)
    for i in range(2, len(table.header)):
        assert [row[i].bold for row in table.rows].count(True) == 1


def test_only_the_better_are_starred(comparison):
    """A significantly worse model has its sign and stars in the table of differences alone."""
    best = dict.fromkeys(comparison.metrics, "A")
    numbers = (1e-9, 1e-9, 1e-9, 1e-9)
    worse = [
        PairedTest("B", "A", m, "users", 300, -0.1, (-0.2, -0.05), *numbers)
        for m in comparison.metrics
    ]
    worse += [dataclasses.replace(t, unit="seed 1") for t in worse]  # models that do not learn
    better = [dataclasses.replace(t, label="ours", difference=0.1) for t in worse]
    table = metric_table(comparison, best, worse + better)
    assert not any("*" in cell for cell in _row(table, "B"))
    assert all(cell.endswith("***") for cell in _row(table, "ours")[2:])
    told = significance_table(worse + better, "Differences")
    assert _row(told, "B", "A", "ndcg@10")[3] == "−0.1000***"
    assert _row(told, "ours", "A", "ndcg@10")[3] == "+0.1000***"
    assert {row[0] for row in told.rows if row[3].bold} == {"ours"}


@pytest.mark.parametrize(
    ("units", "star", "note"),
    [
        ({"users": 1e-9}, "", "One seed: what another training would give is unknown"),
        (
            {"users": 1e-9, "seed 1": 1e-9, "seeds": 0.2},
            "",
            "a difference of at least: ndcg@10 0.0",
        ),
        ({"users": 1e-9, "seed 1": 1e-9, "seeds": 0.03}, "*", "Power: with 3 seeds"),
        ({"users": 0.2, "seed 1": 1e-9, "seeds": 0.03}, "", "Power: with 3 seeds"),
        ({"users": 1e-9, "seed 1": 1e-9}, "***", None),  # all seeds alike
    ],
)
def test_a_star_needs_other_users_and_other_trainings(comparison, units, star, note):
    tests = [
        PairedTest(
            "ours", "A", "ndcg@10", unit, 3, 0.1, (0.0, 0.2), p, p, p, p,
            0.05 if unit == "seeds" else None,
        )
        for unit, p in units.items()
    ]  # fmt: skip
    shown = metric_table(comparison, {"ndcg@10": "A"}, tests)
    told = significance_table(tests, "Differences")
    cells = (
        _row(shown, "ours")[shown.header.index("ndcg@10")],
        _row(told, "ours", "A", "ndcg@10")[3],
    )
    for table, cell in zip((shown, told), cells, strict=True):
        text = str(getattr(cell, "text", cell))
        assert len(text) - len(text.rstrip("*")) == len(star)
        powers = [n for n in table.notes if n.startswith(("Power", "One seed"))]
        assert [note in n for n in powers] == ([True] if note else [])


def test_gains_are_over_the_best_baseline(comparison):
    best, tests, _ = _tests(comparison)
    table = gain_table(comparison, best, tests)
    over = {(t.label, t.metric, t.unit): t.holm_t for t in tests}
    means = mean_test(comparison)
    for metric in comparison.metrics:
        assert best[metric] == max(("A", "B"), key=lambda label: means[label][metric])
        (ours,) = [r for r in table.records if r["model"] == "ours"]
        assert ours[metric] == pytest.approx(
            means["ours"][metric] / means[best[metric]][metric] - 1
        )
        p = max(over["ours", metric, "users"], over.get(("ours", metric, "seeds"), 0))
        assert ours[f"{metric} p"] == p
        (cell,) = [c for c, m in zip(_row(table, "ours"), table.header, strict=True) if m == metric]
        assert cell == f"{signed_percent(ours[metric])} (p {p_text(p)})"
    assert _row(table, "best baseline")[1:] == [best[m] for m in comparison.metrics]


def test_tables_fit_a_terminal(comparison):
    best, tests, _ = _tests(comparison)
    for table in (metric_table(comparison, best, tests), gain_table(comparison, best, tests)):
        assert max(map(len, table.text().splitlines())) <= 80


def test_differences(comparison):
    _, tests, values = _tests(comparison, dict.fromkeys(comparison.metrics, "ours"))
    table = significance_table(tests, "Differences from ours")
    assert len(table.rows) == 2 * len(comparison.metrics)
    assert len(table.records) == len(tests)
    (record,) = [
        r for r in table.records if (r["model"], r["metric"], r["unit"]) == ("B", "mrr@10", "users")
    ]
    i = comparison.metrics.index("mrr@10")
    expected = (values["B", 1] - values["ours", 1])[:, i].mean()  # the seed that both have
    assert record["difference"] == pytest.approx(expected)
    assert record["low"] < expected < record["high"]
    assert _row(table, "B", "ours", "mrr@10")[-2:] == ["–", "–"]  # one seed is no sample of seeds
    assert "–" not in _row(table, "A", "ours", "mrr@10")
    by_seed = seed_table(tests, "by seed")
    assert {row[3] for row in by_seed.rows} == {"1", "2"}
    assert len(by_seed.rows) == 2 * len(comparison.metrics)


def test_wins_ties_and_losses_are_all_users(comparison):
    _, _, values = _tests(comparison)
    means = {label: values[label, 1] for label in LABELS[:3]}
    table = wins_table(comparison, means, "ours")
    assert [row[0] for row in table.rows] == ["A", "B"]
    for record in table.records:
        assert record["wins"] + record["ties"] + record["losses"] == 300
    swapped = wins_table(comparison, means, "A").records
    mine = next(r for r in table.records if (r["model"], r["metric"]) == ("A", "mrr@10"))
    theirs = next(r for r in swapped if (r["model"], r["metric"]) == ("ours", "mrr@10"))
    assert (mine["wins"], mine["losses"]) == (theirs["losses"], theirs["wins"])


def test_noise_and_its_loss(comparison):
    table = noise_table(comparison, "recall@10", ["BPR: has no histories."])
    assert table.header[1:] == ["clean", "replace 10%", "replace 20%", "delete 10%", "delete 20%"]
    assert "(−20.0 %)" in _row(table, "ours")[3]
    assert _row(table, "never")[1:] == ["–"] * 5
    assert len(table.records) == 5 * 4  # runs x conditions
    assert "BPR: has no histories." in table.notes


def test_cost_and_runs(comparison):
    table = cost_table(dataclasses.replace(comparison, inference_seconds={"A": 0.1234}))
    assert [row[0] for row in table.rows] == LABELS[:3]
    assert _row(table, "A")[-1] == "0.123"
    assert _row(table, "B")[-1] == "–"
    folders = {(label, seed): Path(f"saved/{label}-{seed}") for label in LABELS for seed in (1, 2)}
    table = runs_table(comparison, "ndcg@10", folders)
    assert len(table.rows) == len(table.records) == 8
    assert _row(table, "A", "2")[-1] == "saved/A-2"
    assert _row(table, "never", "1")[-1] == "failed: out of memory"
    assert _row(table, "A", "1")[2] == f"{comparison.results['A', 1]['best_epoch']}/9"
