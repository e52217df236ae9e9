"""Pictures are small, nothing is cut off at their edges."""

import numpy as np
import pytest
from PIL import Image

from recbole_intent.plotting import plots, series
from recbole_intent.plotting.style import looks


def check(path, least_width=400) -> None:
    """A PNG under 200 KB with something on it and nothing up to its edge."""
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width >= least_width
        pixels = np.asarray(image.convert("L"))
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    assert all((edge == 255).all() for edge in edges), f"{path.name}: cut off"
    assert (pixels < 200).mean() > 0.002


@pytest.fixture(params=["one", "ten"])
def comparison(request, make_comparison, long_labels):
    """One model with one seed, or ten with long names and several seeds."""
    labels, seeds = (["Pop"], (1,)) if request.param == "one" else (long_labels, (1, 2, 3))
    return make_comparison(labels, seeds, ratios=(0.1, 0.2))


def test_metric_bars(comparison, tmp_path):
    bars = series.estimates(comparison, comparison.metrics)
    plots.metric_bars(bars, looks(comparison.labels), tmp_path / "a.png")
    check(tmp_path / "a.png")


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 8, 9, 11])
def test_panels_of_many_metrics(n):
    columns = plots.panel_columns(n)
    assert 1 <= columns <= 5
    if n not in (7, 11):
        assert n % columns == 0


def test_metric_bars_of_zeros(make_comparison, tmp_path):
    """A model without one hit has a picture too."""
    found = {"hit@1": {"Pop": series.Estimate(0.0, 0.0, 0.0, {1: 0.0})}}
    plots.metric_bars(found, looks(["Pop"]), tmp_path / "a.png")
    check(tmp_path / "a.png")


def test_learning_curves(comparison, tmp_path):
    runs = {
        label: [comparison.results[label, seed] for seed in comparison.seeds]
        for label in comparison.labels
    }
    plots.learning_curves(runs, "ndcg@10", tmp_path / "a.png", looks(comparison.labels))
    check(tmp_path / "a.png")


def test_learning_curves_of_single_runs(make_comparison, tmp_path):
    """A run a label, one of which was never validated."""
    runs = {label: run for (label, _), run in make_comparison(["A", "B"], (1,)).results.items()}
    runs["B"] = {**runs["B"], "history": [], "best_epoch": 0}
    plots.learning_curves(runs, "ndcg@10", tmp_path / "a.png")
    check(tmp_path / "a.png")


def test_cost(comparison, tmp_path):
    minutes = {label: series.minutes(comparison, label) for label in comparison.labels}
    values = dict.fromkeys(comparison.labels, 0.05)  # side by side: the hardest to label
    plots.cost(minutes, values, "ndcg@10", looks(comparison.labels), tmp_path / "a.png")
    check(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("values", "log"), [([1.0], False), ([1.0, 10.0], False), ([0.01, 10.0], True)]
)
def test_a_log_axis_is_for_wide_spreads(values, log):
    assert plots.wants_log(values) is log


def test_by_group(comparison, tmp_path):
    found = series.grouped(comparison, "ndcg@10", comparison.item_popularity, "popularity")
    plots.by_group(found, "ndcg@10", looks(comparison.labels), tmp_path / "a.png")
    check(tmp_path / "a.png")


@pytest.mark.parametrize("n", [1, 2, 10])
def test_models_stand_side_by_side_within_their_group(n):
    found = plots.dodge(n)
    assert len(set(found)) == n
    assert -0.5 < min(found) <= max(found) < 0.5
    assert sum(found) == pytest.approx(0)


def test_noise_over_ratios(comparison, tmp_path):
    found = series.noisy(comparison, "ndcg@10")
    plots.noise(found, "ndcg@10", looks(comparison.labels), tmp_path / "a.png")
    check(tmp_path / "a.png")


def test_noise_of_one_ratio(make_comparison, long_labels, tmp_path):
    """Bars; a model may lack one of the kinds."""
    comparison = make_comparison(long_labels, ratios=(0.2,))
    for seed in comparison.seeds:
        del comparison.noise[long_labels[0], seed]["delete", 0.2]
    found = series.noisy(comparison, "ndcg@10")
    clean, delete, replace = plots.noise_groups(found, long_labels[0])
    assert delete is None
    assert replace == pytest.approx({seed: 0.8 * value for seed, value in clean.items()})
    plots.noise(found, "ndcg@10", looks(long_labels), tmp_path / "a.png")
    check(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        ({"n_prefix": {2: 0.1, 8: 0.2, 32: 0.15}}, {}),
        ({"n_prefix": {2: 0.1, 8: 0.2}, "n_intents": {1: 0.1}}, {"n_prefix": {2: 0.3, 8: None}}),
        ({"n_prefix": {0: 0.1}, "a": {}, "b": {1: 1.0}, "c": {1: 1.0}}, {"a": {3: 0.1}}),
        ({"n_prefix": {}}, {}),
        ({"weight": {0.0: 0.1, 1e-4: 0.2, 1e-3: 0.3, 1e-2: 0.3}}, {}),
    ],
    ids=["ours alone", "some printed", "printed alone", "nothing yet", "from 0"],
)
def test_sensitivity(tmp_path, values, printed):
    plots.sensitivity(values, printed, tmp_path / "a.png", "recall@10")
    check(tmp_path / "a.png")
