"""Figures of a search and its page: parallel coordinates, curves, a table of all trials."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole_intent.plotting.drawing import Drawing, drawing
from recbole_intent.plotting.page import Chart, Page, Section, escaped
from recbole_intent.plotting.tables import NOTHING, Cell, Table
from recbole_intent.tune.ledger import STOPPED, Trial, best_trial
from recbole_intent.tune.report import best_value, short
from recbole_intent.tune.space import Choice, Space
from recbole_intent.utils.files import write_text


def _colours(values: Sequence[float], bigger: bool):
    """A colour scale for a metric, clipped so that very poor trials do not hide differences."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    shades = colormaps["viridis"]([0.85, 0.65, 0.5, 0.35, 0.25])  # legible on white and on black
    ordered = sorted(values)
    cut = ordered[len(ordered) // 4] if bigger else ordered[-1 - len(ordered) // 4]
    low, high = (cut, ordered[-1]) if bigger else (ordered[0], cut)
    scale = Normalize(low, high if high > low else low + 1e-9)
    shades = shades if bigger else shades[::-1]
    return ScalarMappable(scale, LinearSegmentedColormap.from_list("metric", shades))


def _positions(space: Space, key: str, values: Sequence[Any]) -> tuple[list[float], list, list]:
    """Positions in 0 .. 1 of values on their axis, and the positions and labels of its ticks."""
    domain = space[key]
    if isinstance(domain, Choice):
        shown = list(domain.values)
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in shown):
            shown.sort()
        at = {i: (i + 0.5) / len(shown) for i in range(len(shown))}
        return [at[shown.index(v)] for v in values], list(at.values()), [short(v) for v in shown]
    is_log = domain.kind == "loguniform"
    low, high = (math.log(end) if is_log else end for end in (domain.low, domain.high))
    heights = [((math.log(v) if is_log else v) - low) / (high - low) for v in values]
    steps = min(4, int(high - low)) if domain.kind == "int" else 4
    inner = [low + step * (high - low) / steps for step in range(steps + 1)]
    if domain.kind == "int":
        inner = [round(x) for x in inner]
    ticks = [(x - low) / (high - low) for x in inner]
    return heights, ticks, [f"{math.exp(x) if is_log else x:.3g}" for x in inner]


def _with_scores(
    trials: Sequence[Trial], metric: str, bigger: bool
) -> tuple[list[Trial], list[float]]:
    """The trials that have the metric, and its value in the best epoch of each."""
    scores = [(trial, best_value(trial, metric, bigger)) for trial in trials]
    having = [(trial, score) for trial, score in scores if score is not None]
    return [trial for trial, _ in having], [score for _, score in having]


def parallel_coordinates(
    space: Space, trials: Sequence[Trial], metric: str, bigger: bool, title: str = ""
) -> Drawing:
    """Draw parallel coordinates: one axis per parameter plus the metric, one line per trial.

    The line of the best trial is thick.

    Args:
        space: the search space.
        trials: trials; those without a metric are skipped.
        metric: validation metric.
        bigger: whether a larger value is better.
        title: above the axes.
    """
    shown, scores = _with_scores(trials, metric, bigger)
    best = best_trial(shown, metric, bigger)
    keys = list(space)
    with drawing((max(5.0, 1.35 * (len(keys) + 1)), 4.2), title=title) as drawn:
        axes = drawn.panels[0, 0]
        axes.grid(visible=False)
        colours = _colours(scores, bigger)
        low, high = min(scores), max(scores)
        heights = [(s - low) / (high - low) if high > low else 0.5 for s in scores]
        columns = []
        for x, key in enumerate(keys):
            at, ticks, texts = _positions(space, key, [trial.params[key] for trial in shown])
            columns.append(at)
            _axis(axes, x, ticks, texts)
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0] if high > low else [0.5]
        texts = [f"{low + tick * (high - low):.4f}" for tick in ticks]
        _axis(axes, len(keys), ticks, texts)
        order = sorted(range(len(shown)), key=lambda i: scores[i], reverse=not bigger)
        for i in order:  # the best last, so it is on top
            is_best = shown[i] is best
            # A small offset keeps trials with the same value from hiding each other.
            offset = (i / max(1, len(shown) - 1) - 0.5) * 0.05
            line = [
                column[i] + (offset if isinstance(space[key], Choice) else 0)
                for key, column in zip(keys, columns, strict=True)
            ]
            (artist,) = axes.plot(
                range(len(keys) + 1),
                [*line, heights[i]],
                color="crimson" if is_best else colours.to_rgba(scores[i]),
                linewidth=2.6 if is_best else 1.2,
                linestyle=":" if shown[i].status == STOPPED else "-",
                alpha=1.0 if is_best else 0.75,
                label=f"trial {shown[i].index}, the best" if is_best else None,
            )
            drawn.mark(artist, f"trial {shown[i].index}", _hover(shown[i], metric, bigger))
        axes.set_xticks(range(len(keys) + 1), [*keys, f"validation\n{metric}"])
        axes.set_xlim(-0.35, len(keys) + 0.45)
        axes.set_ylim(-0.06, 1.06)
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(axis="x", length=0, labelsize=9)
        if len(keys) > 4:
            for label in axes.get_xticklabels():
                label.set_rotation(15)
        if any(trial.status == STOPPED for trial in shown):
            axes.plot([], [], ":", color="grey", label="stopped early")
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return drawn


def _hover(trial: Trial, metric: str, bigger: bool) -> str:
    lines = [f"{key}={short(value)}" for key, value in trial.params.items()]
    return "\n".join([f"{metric} {best_value(trial, metric, bigger):.4f}, {trial.status}", *lines])


def _axis(axes, x: int, ticks: Sequence[float], texts: Sequence[str]) -> None:
    axes.axvline(x, color="0.75", linewidth=1, zorder=0)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.8}
    for tick, text in zip(ticks, texts, strict=True):
        axes.text(x - 0.06, tick, text, fontsize=8, ha="right", va="center", bbox=box, zorder=5)


def curves(
    trials: Sequence[Trial], metric: str, bigger: bool, x: str = "at", title: str = ""
) -> Drawing:
    """Draw the validation metric of all trials over the search's minutes, or over epochs.

    Args:
        trials: trials; those without a metric are skipped.
        metric: validation metric.
        bigger: whether a larger value is better.
        x: `at`: minutes of the search, with the best so far; or `epoch`.
        title: above the axes.
    """
    shown, scores = _with_scores(trials, metric, bigger)
    best = best_trial(shown, metric, bigger)
    with drawing((5.0, 3.5), title=title) as drawn:
        axes = drawn.panels[0, 0]
        colours = _colours(scores, bigger)
        for trial, score in zip(shown, scores, strict=True):
            places = [record[x] for record in trial.epochs]
            values = [record["valid"][metric] for record in trial.epochs]
            colour = colours.to_rgba(score)
            is_best = trial is best
            (line,) = axes.plot(
                places,
                values,
                color="crimson" if is_best else colour,
                linewidth=2.0 if is_best else 0.9,
                marker="." if len(places) < 40 else None,
                markersize=4,
                label=f"trial {trial.index}, the best" if is_best else None,
                zorder=3 if is_best else 2,
            )
            artists = [line]
            if trial.status == STOPPED:
                artists += axes.plot(places[-1], values[-1], "x", color=colour, ms=7, zorder=4)
            for artist in artists:
                drawn.mark(artist, f"trial {trial.index}", _hover(trial, metric, bigger))
        if x == "at":
            points = sorted((r["at"], r["valid"][metric]) for trial in shown for r in trial.epochs)
            so_far = itertools.accumulate((value for _, value in points), max if bigger else min)
            style = {"where": "post", "color": "black", "linewidth": 1.2, "label": "best so far"}
            axes.step([at for at, _ in points], list(so_far), **style)
        if any(trial.status == STOPPED for trial in shown):
            axes.plot([], [], "x", color="grey", label="stopped early")
        axes.set_xlabel("minutes of the search" if x == "at" else "epoch")
        axes.set_ylabel(f"validation {metric}")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return drawn


def trials_table(trials: Sequence[Trial], metric: str, bigger: bool) -> Table:
    """All trials with their parameters, the best in bold."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    best = best_trial(trials, metric, bigger)
    rows: list[list[str | Cell]] = []
    for trial in trials:
        value = best_value(trial, metric, bigger)
        text = NOTHING if value is None else f"{value:.4f}"
        rows.append(
            [
                Cell(str(trial.index), link=f"trials/{trial.index:04d}/" if trial.epochs else ""),
                trial.status,
                Cell(text, bold=trial is best),
                str(trial.last_epoch),
                f"{trial.minutes:.1f}",
                *(short(trial.params[key]) if key in trial.params else NOTHING for key in keys),
                trial.message,
            ]
        )
    header = ["trial", "status", metric, "epochs", "minutes", *keys, "message"]
    return Table("Trials", header, rows, [])


def write_page(
    folder: Path,
    space: Space,
    trials: Sequence[Trial],
    metric: str,
    bigger: bool,
    title: str,
    command: str = "",
) -> None:
    """Write the figures of a search, `parallel.png` and `time.png`, and its `page.html`.

    Args:
        folder: the search's folder.
        space: the search space.
        trials: all trials, at least one with a metric.
        metric: validation metric.
        bigger: whether a larger value is better.
        title: model, dataset and seed; above each figure.
        command: the command line; empty if unknown.

    Raises:
        UserError: a file cannot be written.
    """
    parallel = parallel_coordinates(space, trials, metric, bigger, title)
    time = curves(trials, metric, bigger, title=title)
    parallel.save(folder / "parallel.png")
    time.save(folder / "time.png")
    charts = [
        Chart("parallel", "Parameters", {"": parallel}, is_wide=True),
        Chart("time", "The search over time", {"": time}),
        Chart("epochs", "By epoch", {"": curves(trials, metric, bigger, "epoch", title)}),
    ]
    files = ("best.yaml", "trials.csv", "result.json")
    links = ", ".join(f'<a href="{name}">{name}</a>' for name in files)
    sections = [
        Section("trials", "Trials", trials_table(trials, metric, bigger).html()),
        Section("files", "Files", f"<p>{links}</p>"),
    ]
    if command:
        sections.append(Section("command", "Command", f"<pre>{escaped(command)}</pre>"))
    page = Page(f"Search: {title}", charts=charts, sections=sections)
    write_text(folder / "page.html", page.html())
