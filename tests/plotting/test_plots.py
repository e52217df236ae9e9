"""Figures are small, nothing is cut off at their edges, and they show the numbers."""

import numpy as np
import pytest
from PIL import Image

from recbole_intent.compare.page import draw
from recbole_intent.plotting import plots, series
from recbole_intent.plotting.style import looks


def check(drawing, path, least_width=400) -> None:
    """A PNG under 200 KB with something on it and nothing up to its edge."""
    drawing.save(path)
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width >= least_width
        pixels = np.asarray(image.convert("L"))
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    assert all((edge == 255).all() for edge in edges), f"{path.name}: cut off"
    assert (pixels < 200).mean() > 0.002


@pytest.fixture(params=[plots.WIDTH, plots.NARROW], ids=["wide", "narrow"])
def width(request):
    return request.param


@pytest.fixture(params=["one", "ten"])
def comparison(request, make_comparison, long_labels):
    """One model with one seed, or ten with long names and several seeds."""
    labels, seeds = (["Pop"], (1,)) if request.param == "one" else (long_labels, (1, 2, 3))
    return make_comparison(labels, seeds, ratios=(0.1, 0.2))


@pytest.mark.parametrize("inches", [None, plots.NARROW])
def test_metric_bars(comparison, tmp_path, inches):
    bars = series.estimates(comparison, comparison.metrics)
    drawing = plots.metric_bars(bars, looks(comparison.labels), width=inches)
    check(drawing, tmp_path / "a.png")
    axes = [each for each in drawing.panels.flat if each.get_visible()]
    widths = [[bar.get_width() for bar in each.patches] for each in axes]
    assert widths == [[one.mean for one in by_label.values()] for by_label in bars.values()]
    for label, one in bars["ndcg@10"].items():
        hover = f"NDCG@10 {one.mean:.4f} [{one.low:.4f}, {one.high:.4f}]"
        assert any(name == label and hover in text for name, text in drawing.marks)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 8, 9, 11])
def test_panels_of_many_metrics(n):
    columns = plots.panel_columns(n)
    assert 1 <= columns <= 5
    if n not in (7, 11):
        assert n % columns == 0


def test_metric_bars_of_zeros(make_comparison, tmp_path):
    """A model without one hit has a picture too."""
    found = {"hit@1": {"Pop": series.Estimate(0.0, 0.0, 0.0, {1: 0.0})}}
    check(plots.metric_bars(found, looks(["Pop"])), tmp_path / "a.png")


def test_learning_curves(comparison, tmp_path, width):
    curves = {key: series.curve(run, "ndcg@10") for key, run in comparison.results.items()}
    drawing = plots.learning_curves(curves, "ndcg@10", looks(comparison.labels), width=width)
    check(drawing, tmp_path / "a.png")
    by_epoch, by_time = drawing.panels.flat
    (label, seed), first = next(iter(curves.items()))
    for axes, x in ((by_epoch, [1, 2, 3, 4]), (by_time, first.minutes)):
        assert list(axes.lines[0].get_xdata()) == x
        assert list(axes.lines[0].get_ydata()) == first.values
    best = f"{label}\nseed {seed}\nbest: {first.values[first.best]:.4f}, epoch 3, "
    assert any(text.startswith(best) for _, text in drawing.marks)


def test_a_curve_that_was_never_validated(make_comparison, tmp_path):
    curves = {
        (label, 1): series.curve(make_comparison([label], (1,)).results[label, 1], "ndcg@10")
        for label in "AB"
    }
    curves["B", 1] = series.Curve([], [], [], None)
    drawing = plots.learning_curves(curves, "ndcg@10", looks(["A", "B"]))
    check(drawing, tmp_path / "a.png")


def test_cost(comparison, tmp_path, width):
    minutes = {label: series.minutes(comparison, label) for label in comparison.labels}
    # Side by side: the hardest to label.
    one = series.Estimate(0.05, 0.04, 0.06, {1: 0.05})
    values = dict.fromkeys(comparison.labels, one)
    notes = dict.fromkeys(comparison.labels, "a note")
    look = looks(comparison.labels)
    drawing = plots.cost(minutes, values, notes, "ndcg@10", look, width=width)
    check(drawing, tmp_path / "a.png")
    assert all(text.endswith(" min\na note") for _, text in drawing.marks)


@pytest.mark.parametrize(
    ("values", "log"), [([1.0], False), ([1.0, 10.0], False), ([0.01, 10.0], True)]
)
def test_a_log_axis_is_for_wide_spreads(values, log):
    assert plots.wants_log(values) is log


def test_by_group(comparison, tmp_path, width):
    found = series.grouped(comparison, "ndcg@10", comparison.item_popularity, "popularity")
    drawing = plots.by_group(found, "ndcg@10", looks(comparison.labels), width=width)
    check(drawing, tmp_path / "a.png")


@pytest.mark.parametrize("n", [1, 2, 10])
def test_models_stand_side_by_side_within_their_group(n):
    found = plots.dodge(n)
    assert len(set(found)) == n
    assert -0.5 < min(found) <= max(found) < 0.5
    assert sum(found) == pytest.approx(0)


def test_noise_over_ratios(comparison, tmp_path, width):
    found = series.noisy(comparison, "ndcg@10")
    drawing = plots.noise(found, "ndcg@10", looks(comparison.labels), width=width)
    check(drawing, tmp_path / "a.png")
    label = comparison.labels[0]
    clean, *_, most = found.values[label, "delete"].values()
    line = drawing.panels.flat[0].lines[0]
    assert list(line.get_ydata())[::2] == [clean.mean, most.mean]
    interval = f"20%: {most.mean:.4f} [{most.low:.4f}, {most.high:.4f}]"
    assert any(name == label and interval in text for name, text in drawing.marks)


def test_noise_of_one_ratio(make_comparison, long_labels, tmp_path):
    """A model may lack one of the kinds."""
    comparison = make_comparison(long_labels, ratios=(0.2,))
    for seed in comparison.seeds:
        del comparison.noise_ranks[long_labels[0], seed]["delete", 0.2]
    found = series.noisy(comparison, "ndcg@10")
    assert (long_labels[0], "delete") not in found.values
    assert list(found.values[long_labels[0], "replace"]) == [0.0, 0.2]
    check(plots.noise(found, "ndcg@10", looks(long_labels)), tmp_path / "a.png")


def test_every_model_has_marks_in_every_figure(make_comparison, long_labels):
    """So that the page can hide it; and it has one colour."""
    comparison = make_comparison(long_labels, ratios=(0.1,))
    drawings = draw(comparison, "ndcg@10", ["ndcg@10"], plots.NARROW)
    assert list(drawings) == [
        "metrics", "cost", "curves", "noise", "history_length", "item_popularity"
    ]  # fmt: skip
    for name, drawing in drawings.items():
        assert {label for label, _ in drawing.marks} == set(long_labels), name
        assert drawing.title == "amazon-toys, seeds 2020, 2021"


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
    check(plots.sensitivity(values, printed, "recall@10"), tmp_path / "a.png")
