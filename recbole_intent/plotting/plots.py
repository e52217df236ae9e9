"""Pictures of results as PNG files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_intent.plotting.labels import place_labels
from recbole_intent.plotting.series import Curve, Estimate, Grouped, Noisy, curve, mean
from recbole_intent.plotting.style import (
    INCHES_A_LETTER,
    Look,
    legend_below,
    legend_height,
    looks,
    metric_name,
    picture,
    wrapped,
)

_WIDTH = 8.0  # inches
_MOST_MARKERS = 12  # per curve; more would hide each other
_DODGE = 0.72  # share of a group's width that its models take


def metric_bars(
    bars: Mapping[str, Mapping[str, Estimate]],
    look: Mapping[str, Look],
    path: str | Path,
    title: str = "",
) -> None:
    """Draw test metrics with intervals over users, one panel per metric and one dot per seed.

    Args:
        bars: metric -> label -> estimate.
        look: label -> its look.
        path: PNG file to write.
        title: above all panels.
    """
    labels = list(next(iter(bars.values())))
    names = [wrapped(label) for label in labels]
    columns = panel_columns(len(bars))
    rows = -(-len(bars) // columns)
    lines = sum(name.count("\n") + 1 for name in names)
    margin = INCHES_A_LETTER * max(len(line) for name in names for line in name.split("\n"))
    width = max(margin + 1.9 * columns + 0.3, 5.2)  # the text line below needs 5.2 inches
    size = (width, rows * (0.2 * lines + 0.12 * len(names) + 0.7))
    with picture(path, size, rows, columns, title=title, sharey=True) as (figure, panels):
        for axes, (metric, by_label) in zip(panels.flat, bars.items(), strict=False):
            for place, label in enumerate(labels):
                found = by_label[label]
                axes.barh(place, found.mean, 0.7, color=look[label].colour)
                axes.plot([found.low, found.high], [place, place], color="black", lw=1)
                dots = list(found.by_seed.values())
                axes.plot(dots, [place] * len(dots), "o", ms=3.5, mfc="white", mec="black", mew=0.7)
                end = max(found.high, *dots, 0.0)
                axes.annotate(
                    f"{found.mean:.4f}", (end, place), (4, 0), textcoords="offset points",
                    va="center", fontsize=7,
                )  # fmt: skip
            most = max(max(e.high, *e.by_seed.values()) for e in by_label.values())
            axes.set_xlim(0, 1.45 * most or 1)  # room for the values
            axes.set_title(metric_name(metric))
            axes.grid(axis="y", visible=False)
            axes.locator_params(axis="x", nbins=3)
            axes.set_yticks(range(len(names)), names)
            axes.tick_params(axis="y", length=0)
        panels[0, 0].set_ylim(len(names) - 0.5, -0.5)  # shared: the first model on top
        for axes in panels.flat[len(bars) :]:
            axes.set_visible(False)
        figure.supxlabel(
            "test metric; line: 95 % bootstrap interval over users; dots: seeds", fontsize=8.5
        )


def panel_columns(n: int) -> int:
    """Panels per row: all of them up to 5, else full rows if possible."""
    return n if n <= 5 else next((columns for columns in (5, 4, 3) if n % columns == 0), 5)


def learning_curves(
    runs: Mapping[str, Mapping[str, Any] | Sequence[Mapping[str, Any]]],
    metric: str,
    path: str | Path,
    look: Mapping[str, Look] | None = None,
    title: str = "",
) -> None:
    """Draw the validation metric by epoch and by training time, one line per run.

    The best epoch of each run is marked.

    Args:
        runs: label -> contents of `result.json`, or of several, one per seed.
        metric: such as `ndcg@10`.
        path: PNG file to write.
        look: label -> its look; None: by position.
        title: above both panels.
    """
    look = look or looks(list(runs))
    names = [wrapped(label, 44) for label in runs]
    size = (_WIDTH, 3.2 + legend_height(names, _WIDTH))
    with picture(path, size, 1, 2, title=title, sharey=True) as (figure, panels):
        by_epoch, by_time = panels[0]
        handles = []
        for label, results in runs.items():
            results = [results] if isinstance(results, Mapping) else results
            found = [curve(result, metric) for result in results]
            for each in found:
                _draw_curve(by_epoch, each.epochs, each, look[label])
                _draw_curve(by_time, each.minutes, each, look[label])
            style = {"color": look[label].colour, "marker": look[label].marker}
            handles += by_time.plot([], [], look[label].dash, ms=5, **style)
        by_epoch.set_xlabel("epoch")
        by_epoch.locator_params(axis="x", integer=True)
        by_time.set_xlabel("minutes, pre-training included")
        by_epoch.set_ylabel(f"validation {metric_name(metric)}")
        legend_below(figure, handles, names)


def _draw_curve(axes: Any, x: list[float], run: Curve, look: Look) -> None:
    style = {"color": look.colour, "marker": look.marker}
    size = 3 if len(x) <= _MOST_MARKERS else 0
    axes.plot(x, run.values, look.dash, ms=size, lw=1.1, **style)
    if run.best is not None:
        axes.plot(x[run.best], run.values[run.best], ms=7, mec="black", mew=0.6, **style)


def cost(
    minutes: Mapping[str, float],
    values: Mapping[str, float],
    metric: str,
    look: Mapping[str, Look],
    path: str | Path,
    title: str = "",
) -> None:
    """Draw a test metric against the minutes of training, one labelled point per model.

    Args:
        minutes: label -> minutes of training, pre-training included, above 0.
        values: label -> test metric.
        metric: its name, such as `ndcg@10`.
        look: label -> its look.
        path: PNG file to write.
        title: above the axes.
    """
    with picture(path, (_WIDTH, 4.6), title=title) as (figure, panels):
        axes = panels[0, 0]
        for label, x in minutes.items():
            style = {"color": look[label].colour, "marker": look[label].marker}
            axes.plot(x, values[label], ms=8, mec="black", mew=0.6, linestyle="none", **style)
        if wants_log(minutes.values()):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        axes.margins(0.15)
        axes.set_xlabel("minutes of training, pre-training included, mean over seeds")
        axes.set_ylabel(f"test {metric_name(metric)}")
        place_labels(figure, axes, {label: (minutes[label], values[label]) for label in minutes})


def wants_log(values: Iterable[float], spread: float = 20.0) -> bool:
    """Whether positive values spread so widely that they would be crowded on a linear axis."""
    values = list(values)
    return max(values) >= spread * min(values)


def by_group(
    found: Grouped, metric: str, look: Mapping[str, Look], path: str | Path, title: str = ""
) -> None:
    """Draw a test metric in groups of users or targets, with intervals and group sizes.

    Args:
        found: groups and estimates.
        metric: its name, such as `ndcg@10`.
        look: label -> its look.
        path: PNG file to write.
        title: above the axes.
    """
    names = [wrapped(label, 44) for label in found.estimates]
    size = (_WIDTH, 3.6 + legend_height(names, _WIDTH))
    with picture(path, size, title=title) as (figure, panels):
        axes, handles = panels[0, 0], []
        for shift, (label, estimates) in zip(
            dodge(len(names)), found.estimates.items(), strict=True
        ):
            means = [each.mean for each in estimates]
            ends = [[e.mean - e.low for e in estimates], [e.high - e.mean for e in estimates]]
            x = [place + shift for place in range(len(means))]
            style = {"color": look[label].colour, "marker": look[label].marker}
            axes.plot(x, means, look[label].dash, lw=0.7, alpha=0.5, color=style["color"])
            handles.append(axes.errorbar(x, means, ends, ms=4.5, lw=1, ls="none", **style))
        ticks = [
            f"{name}\n{users:,} users" for name, users in zip(found.names, found.users, strict=True)
        ]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.5, len(ticks) - 0.5)
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(found.title)
        axes.set_ylabel(f"test {metric_name(metric)}, 95 % interval")
        legend_below(figure, handles, names)


def dodge(n: int) -> list[float]:
    """Offsets that place `n` models side by side around the position of a group."""
    return [_DODGE * ((i + 0.5) / n - 0.5) for i in range(n)]


def noise(
    found: Noisy, metric: str, look: Mapping[str, Look], path: str | Path, title: str = ""
) -> None:
    """Draw a test metric under noise: lines over the ratio by kind, or bars for a single ratio.

    Args:
        found: at least one value.
        metric: its name, such as `ndcg@10`.
        look: label -> its look.
        path: PNG file to write.
        title: above all panels.
    """
    labels = list(dict.fromkeys(label for label, _ in found.values))
    names = [wrapped(label, 44) for label in labels]
    below = legend_height(names, _WIDTH)
    if len(found.ratios) == 1:
        with picture(path, (_WIDTH, 3.2 + below), title=title) as (figure, panels):
            handles = _noise_bars(panels[0, 0], found, labels, look)
            panels[0, 0].set_ylabel(f"test {metric_name(metric)}")
            legend_below(figure, handles, names)
        return
    columns = min(len(found.kinds), 4)
    rows = -(-len(found.kinds) // columns)
    size = (_WIDTH, 2.6 * rows + 0.4 + below)
    with picture(path, size, rows, columns, title=title, sharey=True) as (figure, panels):
        for axes, kind in zip(panels.flat, found.kinds, strict=False):
            handles = _noise_lines(axes, found, kind, labels, look)
            axes.set_title(kind)
            axes.set_xlabel("noise ratio")
        for axes in panels.flat[len(found.kinds) :]:
            axes.set_visible(False)
        for axes in panels[:, 0]:
            axes.set_ylabel(f"test {metric_name(metric)}")
        legend_below(figure, handles, names)


def noise_groups(found: Noisy, label: str) -> list[dict[int, float] | None]:
    """The metric by seed without noise, then under each kind at the only ratio; None: missing."""
    (ratio,) = found.ratios
    told = [found.values.get((label, kind)) for kind in found.kinds]
    clean = next(by_ratio[0.0] for by_ratio in told if by_ratio)
    return [clean, *(by_ratio and by_ratio.get(ratio) for by_ratio in told)]


def _noise_bars(axes: Any, found: Noisy, labels: list[str], look: Mapping[str, Look]) -> list[Any]:
    handles, width = [], _DODGE / len(labels)
    for shift, label in zip(dodge(len(labels)), labels, strict=True):
        told = [(x, seeds) for x, seeds in enumerate(noise_groups(found, label)) if seeds]
        places = [x + shift for x, _ in told]
        means = [mean(seeds) for _, seeds in told]
        handles.append(axes.bar(places, means, 0.9 * width, color=look[label].colour))
        for x, (_, seeds) in zip(places, told, strict=True):
            dots = list(seeds.values())
            axes.plot([x] * len(dots), dots, "o", ms=2.5, mfc="white", mec="black", mew=0.6)
    names = [f"{kind} {found.ratios[0]:.0%}" for kind in found.kinds]
    axes.set_xticks(range(len(names) + 1), ["no noise", *names])
    axes.grid(axis="x", visible=False)
    return handles


def _noise_lines(
    axes: Any, found: Noisy, kind: str, labels: list[str], look: Mapping[str, Look]
) -> list[Any]:
    handles = []
    for label in labels:
        by_ratio = dict(sorted(found.values.get((label, kind), {}).items()))
        style = {"color": look[label].colour, "marker": look[label].marker}
        means = [mean(seeds) for seeds in by_ratio.values()]
        handles += axes.plot(list(by_ratio), means, look[label].dash, ms=4, lw=1.3, **style)
        for ratio, seeds in by_ratio.items():
            axes.plot([ratio] * len(seeds), seeds.values(), ".", ms=3, color=look[label].colour)
    axes.set_xticks([0.0, *found.ratios])
    return handles


def sensitivity(
    values: Mapping[str, Mapping[float, float]],
    printed: Mapping[str, Mapping[float, float | None]],
    path: str | Path,
    metric: str = "ndcg@10",
) -> None:
    """Draw a metric over hyper-parameter values, ours and the paper's, one panel per key.

    Args:
        values: hyper-parameter, such as `n_prefix` -> its value -> our metric; at least one
            hyper-parameter.
        printed: the paper's values in the same form; entries may be absent or None.
        path: PNG file to write.
        metric: name of the metric.
    """
    columns = min(len(values), 3)
    rows = -(-len(values) // columns)
    ours, paper = looks(["ours", "paper"]).values()
    size = (max(2.7 * columns, 4), 2.6 * rows + 0.3)
    with picture(path, size, rows, columns) as (figure, panels):
        handles = {}
        for axes, (name, mine) in zip(panels.flat, values.items(), strict=False):
            theirs = {x: y for x, y in printed.get(name, {}).items() if y is not None}
            for who, told, look in (("ours", mine, ours), ("paper", theirs, paper)):
                if told:
                    x = sorted(told)
                    y = [told[each] for each in x]
                    dash = "-" if told is mine else "--"
                    style = {"color": look.colour, "marker": look.marker}
                    (handles[who],) = axes.plot(x, y, dash, ms=5, lw=1.3, **style)
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
        for axes in panels.flat[len(values) :]:
            axes.set_visible(False)
        legend_below(figure, list(handles.values()), list(handles))
