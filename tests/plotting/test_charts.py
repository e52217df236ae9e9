"""The page's figures hold the numbers of the pictures, and every model has one switch."""

import json
from collections import Counter

import plotly.graph_objects as go
import pytest

from recbole_intent.plotting import charts, series
from recbole_intent.plotting.style import looks


def figures(comparison) -> dict[str, go.Figure]:
    look, labels = looks(comparison.labels), comparison.labels
    bars = series.estimates(comparison, comparison.metrics)
    minutes = {label: series.minutes(comparison, label) for label in labels}
    curves = {key: series.curve(run, "ndcg@10") for key, run in comparison.results.items()}
    grouped = series.grouped(comparison, "ndcg@10", comparison.history_length, "length")
    noise = series.noisy(comparison, "ndcg@10")
    notes = dict.fromkeys(labels, "a note")
    return {
        "bars": charts.metric_bars(bars, look),
        "curves": charts.learning_curves(curves, "ndcg@10", look),
        "cost": charts.cost(minutes, bars["ndcg@10"], notes, "ndcg@10", look),
        "groups": charts.by_group(grouped, "ndcg@10", look),
        "noise": charts.noise(noise, "ndcg@10", look),
    }


@pytest.fixture(scope="module")
def three(make_comparison):
    return make_comparison(["Pop", "SASRec", "a <b>bold</b> name"], ratios=(0.1, 0.2))


@pytest.mark.parametrize("ratios", [(0.2,), (0.1, 0.2)], ids=["one ratio", "two ratios"])
def test_every_model_has_one_switch_and_one_colour(make_comparison, long_labels, ratios):
    comparison = make_comparison(long_labels, ratios=ratios)
    for name, figure in figures(comparison).items():
        shown = Counter(trace.legendgroup for trace in figure.data if trace.showlegend is not False)
        assert len(shown) == 10, name
        assert set(shown.values()) == {1}, name
        colours = {}
        for trace in figure.data:
            colour = trace.marker.color if trace.type == "bar" else trace.line.color
            colours.setdefault(trace.legendgroup, set()).add(colour)
        assert all(len(each - {None}) <= 1 for each in colours.values()), name


def test_figures_pass_through_json(three):
    """plotly checks every name and value when a figure is read."""
    for figure in figures(three).values():
        assert go.Figure(json.loads(figure.to_json())) == figure
        room = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
        assert room >= 26


def test_tags_of_a_label_are_shown_not_read(three):
    for figure in figures(three).values():
        assert "<b>" not in figure.to_json()
        assert any(trace.name == "a &lt;b&gt;bold&lt;/b&gt; name" for trace in figure.data)


def test_bars_show_the_estimates(three):
    found = series.estimates(three, three.metrics)
    figure = charts.metric_bars(found, looks(three.labels))
    bars = [trace for trace in figure.data if trace.type == "bar"]
    told = [one for by_label in found.values() for one in by_label.values()]
    for bar, one in zip(bars, told, strict=True):
        assert bar.x[0] == one.mean
        assert bar.x[0] + bar.error_x.array[0] == pytest.approx(one.high)
        assert bar.x[0] - bar.error_x.arrayminus[0] == pytest.approx(one.low)


def test_curves_show_the_runs(three):
    figure = figures(three)["curves"]
    first, second = figure.data[:2]
    run = three.results["Pop", 2020]
    assert list(first.y) == [record["valid"]["ndcg@10"] for record in run["history"]]
    assert list(first.x) == [1, 2, 3, 4]
    assert list(second.x) == [0.5, 1.0, 1.5, 2.0]
    assert "(best)" in first.hovertext[run["best_epoch"] - 1]


def test_noise_begins_without_noise(three):
    for trace in figures(three)["noise"].data:
        assert list(trace.x) == [0.0, 0.1, 0.2]
        assert trace.y[2] == pytest.approx(0.8 * trace.y[0])


def test_a_kind_that_was_not_tested_says_so(make_comparison):
    comparison = make_comparison(["A", "B"], ratios=(0.2,))
    for seed in comparison.seeds:
        del comparison.noise["A", seed]["delete", 0.2]
    first, second = figures(comparison)["noise"].data
    assert first.y[1] is None
    assert "not tested" in first.hovertext[1]
    assert second.y[1] > 0


def test_minutes_of_a_wide_spread_stand_on_a_log_axis(make_comparison):
    comparison = make_comparison(["A", "B"])
    assert figures_cost(comparison).layout.xaxis.type is None
    for seed in comparison.seeds:
        comparison.results["B", seed]["seconds"] = 90_000.0
    assert figures_cost(comparison).layout.xaxis.type == "log"


def figures_cost(comparison) -> go.Figure:
    bars = series.estimates(comparison, ["ndcg@10"])["ndcg@10"]
    minutes = {label: series.minutes(comparison, label) for label in comparison.labels}
    look = looks(comparison.labels)
    return charts.cost(minutes, bars, dict.fromkeys(minutes, ""), "ndcg@10", look)
