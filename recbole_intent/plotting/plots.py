"""Figures of results; each is described once, for files and for the page."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from recbole_intent.plotting.drawing import Drawing, drawing
from recbole_intent.plotting.labels import place_labels
from recbole_intent.plotting.series import Curve, Estimate, Grouped, Noisy
from recbole_intent.plotting.style import (
    INCHES_A_LETTER,
    Look,
    legend_below,
    legend_height,
    looks,
    metric_name,
    wrapped,
)

WIDTH = 8.0  # inches
NARROW = 4.4  # inches; legible on a telephone and in two columns of a page
_MOST_MARKERS = 3  # per curve; more add nothing but bytes
_DODGE = 0.72  # share of a group's width that its models take
_INTERVAL = "95 % bootstrap interval over users"


def metric_bars(
    bars: Mapping[str, Mapping[str, Estimate]],
    look: Mapping[str, Look],
    title: str = "",
    width: float | None = None,
) -> Drawing:
    """Draw test metrics with intervals over users, one panel per metric and one dot per seed.

    Args:
        bars: metric -> label -> estimate.
        look: label -> its look.
        title: above all panels.
        width: inches; None: as the panels need.
    """
    labels = list(next(iter(bars.values())))
    names = [wrapped(label) for label in labels]
    columns = panel_columns(len(bars))
    margin = INCHES_A_LETTER * max(len(line) for name in names for line in name.split("\n"))
    if width is None:
        width = max(margin + 1.9 * columns + 0.3, NARROW)
    else:
        columns = max(1, min(columns, int((width - margin) / 1.1)))
    rows = -(-len(bars) // columns)
    lines = sum(name.count("\n") + 1 for name in names)
    size = (width, rows * (0.2 * lines + 0.12 * len(names) + 0.7) + 0.2)
    with drawing(size, rows, columns, title, sharey=True) as drawn:
        panels = drawn.panels
        for axes, (metric, by_label) in zip(panels.flat, bars.items(), strict=False):
            for place, (label, each) in enumerate(by_label.items()):
                (bar,) = axes.barh(place, each.mean, 0.7, color=look[label].colour)
                drawn.mark(bar, label, _hover(metric, each))
                low_high = axes.plot([each.low, each.high], [place, place], color="black", lw=1)
                dots = list(each.by_seed.values())
                white = {"mfc": "white", "mec": "black", "mew": 0.7}
                low_high += axes.plot(dots, [place] * len(dots), "o", ms=3.5, **white)
                end = max(each.high, *dots, 0.0)
                text = axes.annotate(
                    f"{each.mean:.4f}", (end, place), (4, 0), textcoords="offset points",
                    va="center", fontsize=7,
                )  # fmt: skip
                for artist in (*low_high, text):
                    drawn.mark(artist, label, _hover(metric, each))
            most = max(max(e.high, *e.by_seed.values()) for e in by_label.values())
            axes.set_xlim(0, 1.45 * most or 1)  # room for the values
            axes.set_title(metric_name(metric))
            axes.grid(axis="y", visible=False)
            axes.locator_params(axis="x", nbins=3)
            axes.set_yticks(range(len(names)), names)
            axes.tick_params(axis="y", length=0)
        panels[0, 0].set_ylim(len(names) - 0.5, -0.5)  # shared: the first model on top
        _hide(panels.flat[len(bars) :])
        caption = f"test metric; line: {_INTERVAL}; dots: seeds"
        lines_below = textwrap.wrap(caption, int(width / INCHES_A_LETTER))
        drawn.figure.supxlabel("\n".join(lines_below), fontsize=8.5)
    return drawn


def panel_columns(n: int) -> int:
    """Panels per row: all of them up to 5, else full rows if possible."""
    return n if n <= 5 else next((columns for columns in (5, 4, 3) if n % columns == 0), 5)


def learning_curves(
    curves: Mapping[tuple[str, int], Curve],
    metric: str,
    look: Mapping[str, Look],
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """Draw the validation metric by epoch and by training time, one line per run.

    The best epoch of each run is marked.

    Args:
        curves: (label, seed) -> its curve.
        metric: such as `ndcg@10`.
        look: label -> its look.
        title: above both panels.
        width: inches; the panels lie one above the other if it is small.
    """
    labels = list(dict.fromkeys(label for label, _ in curves))
    names = [wrapped(label, 44) for label in labels]
    columns = 2 if width > 6 else 1
    size = (width, (3.2 if columns == 2 else 4.6) + legend_height(names, width))
    with drawing(size, 2 // columns, columns, title, sharey=True) as drawn:
        by_epoch, by_time = drawn.panels.flat
        for (label, seed), each in curves.items():
            for axes, x in ((by_epoch, each.epochs), (by_time, each.minutes)):
                _draw_curve(drawn, axes, x, each, look[label], label, f"seed {seed}")
        by_epoch.set_xlabel("epoch")
        by_epoch.locator_params(axis="x", integer=True)
        by_time.set_xlabel("minutes, pre-training included")
        for axes in drawn.panels[:, 0]:
            axes.set_ylabel(f"validation {metric_name(metric)}")
        handles = [
            by_time.plot([], [], look[label].dash, ms=5, **look[label].style)[0] for label in labels
        ]
        legend_below(drawn.figure, handles, names)
    return drawn


def _draw_curve(
    drawn: Drawing, axes: Any, x: Sequence[float], run: Curve, look: Look, label: str, text: str
) -> None:
    size = 3 if len(x) <= _MOST_MARKERS else 0
    (line,) = axes.plot(x, run.values, look.dash, ms=size, lw=1.1, **look.style)
    drawn.mark(line, label, text)
    if run.best is not None:
        best = run.values[run.best]
        (dot,) = axes.plot(x[run.best], best, ms=7, mec="black", mew=0.6, **look.style)
        at = f"epoch {run.epochs[run.best]}, {run.minutes[run.best]:.1f} min"
        drawn.mark(dot, label, f"{text}\nbest: {best:.4f}, {at}")


def cost(
    minutes: Mapping[str, float],
    estimates: Mapping[str, Estimate],
    notes: Mapping[str, str],
    metric: str,
    look: Mapping[str, Look],
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """Draw a test metric against the minutes of training, one labelled point per model.

    Args:
        minutes: label -> minutes of training, pre-training included, above 0.
        estimates: label -> test metric.
        notes: label -> further lines of the hover text.
        metric: its name, such as `ndcg@10`.
        look: label -> its look.
        title: above the axes.
        width: inches.
    """
    names = [wrapped(label, 44) for label in minutes]
    # Long names have no room next to their points in a narrow figure.
    in_legend = width < 6 and max(map(len, names)) > 16
    below = legend_height(names, width) if in_legend else 0.0
    with drawing((width, 0.25 * width + 2.6 + below), title=title) as drawn:
        axes, handles = drawn.panels[0, 0], []
        for label, x in minutes.items():
            style = {"ms": 8, "mec": "black", "mew": 0.6, "linestyle": "none", **look[label].style}
            (point,) = axes.plot(x, estimates[label].mean, **style)
            hover = f"{_hover(metric, estimates[label])}\n{x:.3g} min\n{notes.get(label, '')}"
            handles.append(drawn.mark(point, label, hover))
        if wants_log(minutes.values()):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        axes.margins(0.15)
        axes.set_xlabel("minutes of training with pre-training, mean over seeds")
        axes.set_ylabel(f"test {metric_name(metric)}")
        if in_legend:
            legend_below(drawn.figure, handles, names)
        else:
            points = {label: (minutes[label], estimates[label].mean) for label in minutes}
            place_labels(drawn.figure, axes, points)
    return drawn


def wants_log(values: Iterable[float], spread: float = 20.0) -> bool:
    """Whether positive values spread so widely that they would be crowded on a linear axis."""
    values = list(values)
    return max(values) >= spread * min(values)


def by_group(
    grouped: Grouped,
    metric: str,
    look: Mapping[str, Look],
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """Draw a test metric in groups of users or targets, with intervals and group sizes.

    Args:
        grouped: groups and estimates.
        metric: its name, such as `ndcg@10`.
        look: label -> its look.
        title: above the axes.
        width: inches.
    """
    names = [wrapped(label, 44) for label in grouped.estimates]
    with drawing((width, 0.2 * width + 2 + legend_height(names, width)), title=title) as drawn:
        axes = drawn.panels[0, 0]
        handles = [
            _with_intervals(
                drawn, axes, [place + shift for place in range(len(estimates))], estimates,
                metric, label, look[label], grouped.names, lw=0.7, alpha=0.5,
            )
            for shift, (label, estimates) in zip(
                dodge(len(names)), grouped.estimates.items(), strict=True
            )
        ]  # fmt: skip
        sizes = zip(grouped.names, grouped.users, strict=True)
        ticks = [f"{name}\n{users:,} users" for name, users in sizes]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.5, len(ticks) - 0.5)
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(grouped.title)
        axes.set_ylabel(f"test {metric_name(metric)}, 95 % interval")
        legend_below(drawn.figure, handles, names)
    return drawn


def _with_intervals(
    drawn: Drawing,
    axes: Any,
    x: Sequence[float],
    estimates: Sequence[Estimate],
    metric: str,
    label: str,
    look: Look,
    places: Sequence[str],
    **line: float,
) -> Any:
    """Draw points with intervals, joined by a line; returns the artist for the legend."""
    means = [each.mean for each in estimates]
    below = [each.mean - each.low for each in estimates]
    above = [each.high - each.mean for each in estimates]
    (joined,) = axes.plot(x, means, look.dash, color=look.colour, **line)
    container = axes.errorbar(x, means, [below, above], ms=4.5, lw=1, ls="none", **look.style)
    text = "\n".join(
        f"{place}: {each.mean:.4f} [{each.low:.4f}, {each.high:.4f}]"
        for place, each in zip(places, estimates, strict=True)
    )
    points, caps, bars = container.lines
    for artist in (joined, points, *caps, *bars):
        drawn.mark(artist, label, f"{metric_name(metric)}\n{text}")
    return container


def dodge(n: int) -> list[float]:
    """Offsets that place `n` models side by side around the position of a group."""
    return [_DODGE * ((i + 0.5) / n - 0.5) for i in range(n)]


def noise(
    noisy: Noisy,
    metric: str,
    look: Mapping[str, Look],
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """Draw a test metric under noise with intervals, one panel per kind of noise.

    Args:
        noisy: at least one value.
        metric: its name, such as `ndcg@10`.
        look: label -> its look.
        title: above all panels.
        width: inches.
    """
    labels = list(dict.fromkeys(label for label, _ in noisy.values))
    names = [wrapped(label, 44) for label in labels]
    columns = min(len(noisy.kinds), int(width / 2))
    rows = -(-len(noisy.kinds) // columns)
    size = (width, 2.6 * rows + 0.4 + legend_height(names, width))
    ratios = [0.0, *noisy.ratios]
    step = min(b - a for a, b in pairwise(ratios))
    with drawing(size, rows, columns, title, sharey=True) as drawn:
        handles = {}
        for axes, kind in zip(drawn.panels.flat, noisy.kinds, strict=False):
            for shift, label in zip(dodge(len(labels)), labels, strict=True):
                by_ratio = dict(sorted(noisy.values.get((label, kind), {}).items()))
                if by_ratio:
                    handles[label] = _with_intervals(
                        drawn, axes, [ratio + 0.6 * step * shift for ratio in by_ratio],
                        list(by_ratio.values()), metric, label, look[label],
                        [f"{ratio:.0%}" for ratio in by_ratio], lw=1.3,
                    )  # fmt: skip
            axes.set_xticks(ratios, [f"{ratio:.0%}" for ratio in ratios])
            axes.set_title(kind)
            axes.set_xlabel("noise")
        _hide(drawn.panels.flat[len(noisy.kinds) :])
        for axes in drawn.panels[:, 0]:
            axes.set_ylabel(f"test {metric_name(metric)}, 95 % interval")
        legend_below(drawn.figure, [handles[label] for label in labels], names)
    return drawn


def _hover(metric: str, estimate: Estimate) -> str:
    """The hover text of an estimate."""
    seeds = ", ".join(f"{seed}: {value:.4f}" for seed, value in estimate.by_seed.items())
    interval = f"[{estimate.low:.4f}, {estimate.high:.4f}]"
    return f"{metric_name(metric)} {estimate.mean:.4f} {interval}\nseeds {seeds}"


def _hide(panels: Iterable[Any]) -> None:
    for axes in panels:
        axes.set_visible(False)


def sensitivity(
    values: Mapping[str, Mapping[float, float]],
    printed: Mapping[str, Mapping[float, float | None]],
    metric: str = "ndcg@10",
    title: str = "",
) -> Drawing:
    """Draw a metric over hyper-parameter values, ours and the paper's, one panel per key.

    Args:
        values: hyper-parameter, such as `n_prefix` -> its value -> our metric; at least one
            hyper-parameter.
        printed: the paper's values in the same form; entries may be absent or None.
        metric: name of the metric.
        title: above all panels.
    """
    columns = min(len(values), 3)
    rows = -(-len(values) // columns)
    ours, paper = looks(["ours", "paper"]).values()
    size = (max(2.7 * columns, 4), 2.6 * rows + 0.3)
    with drawing(size, rows, columns, title) as drawn:
        handles = {}
        for axes, (name, mine) in zip(drawn.panels.flat, values.items(), strict=False):
            theirs = {x: y for x, y in printed.get(name, {}).items() if y is not None}
            for who, points, look, dash in (
                ("ours", mine, ours, "-"),
                ("paper", theirs, paper, "--"),
            ):
                if points:
                    x, y = zip(*sorted(points.items()), strict=True)
                    (handles[who],) = axes.plot(x, y, dash, ms=5, lw=1.3, **look.style)
            ticks = sorted({*mine, *theirs})
            above = [tick for tick in ticks if tick > 0]
            if above and ticks[0] >= 0 and wants_log(above, spread=8.0):  # 2, 4, 8, 16 …
                if ticks == above:
                    axes.set_xscale("log")
                else:  # 0 is drawn where a tenth of the smallest value would be
                    axes.set_xscale("symlog", linthresh=above[0])
                axes.minorticks_off()
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_xlabel(name)
            axes.set_ylabel(f"test {metric_name(metric)}")
        _hide(drawn.panels.flat[len(values) :])
        legend_below(drawn.figure, list(handles.values()), list(handles))
    return drawn
