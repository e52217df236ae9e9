"""Report of a search: a live table, `trials.csv` and two pictures."""

import csv
import math
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.plotting.drawing import picture
from recbole_intent.tune.ledger import FAILED, STOPPED, Ledger, Trial, best_trial
from recbole_intent.tune.space import Choice, Space
from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.printable import printable, say

_LOOK_EVERY = 0.5  # seconds


def short(value: Any) -> str:
    """Shorten a parameter for display: numbers to 4 digits, other values to 40 characters."""
    text = f"{value:.4g}" if isinstance(value, float) else printable(value)
    return text if len(text) <= 40 else text[:37] + "…"


def _best_value(trial: Trial, metric: str, bigger: bool) -> float | None:
    record = trial.best(metric, bigger)
    return None if record is None else record["valid"][metric]


def write_csv(path: Path, trials: Sequence[Trial], metric: str, bigger: bool) -> None:
    """Write one row per trial: status, epochs, minutes, parameters, metrics of its best epoch."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    names = list(dict.fromkeys(n for t in trials for r in t.epochs for n in r["valid"]))
    header = ["trial", "status", "epochs", "best_epoch", "minutes", *keys, *names, "message"]
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        for trial in trials:
            best = trial.best(metric, bigger)
            valid = best["valid"] if best else {}
            writer.writerow(
                [
                    *(trial.index, trial.status, trial.last_epoch, best["epoch"] if best else ""),
                    f"{trial.minutes:.3f}",
                    *(trial.params.get(key, "") for key in keys),
                    *(valid.get(name, "") for name in names),
                    trial.message,
                ]
            )


# --- live view --------------------------------------------------------------------------------


@dataclass
class Watch:
    """Shows the ledger while the search writes it, as a live table or one line per event.

    Use it as a context manager around the search.

    Attributes:
        ledger: ledger of the search.
        metric: metric to show; its best value is marked.
        bigger: whether a larger value is better.
        epochs: epochs of a full trial.
        n_trials: total number of trials.
    """

    ledger: Ledger
    metric: str
    bigger: bool
    epochs: int
    n_trials: int

    def __enter__(self) -> "Watch":
        self._over = threading.Event()
        self._seen = sum(1 for _ in self.ledger.events())
        show = self._show_table if sys.stdout.isatty() else self._show_lines
        self._thread = threading.Thread(target=show, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._over.set()
        self._thread.join()

    def _show_lines(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            self._new_lines()
        self._new_lines()

    def _new_lines(self) -> None:
        events = list(self.ledger.events())
        for event in events[self._seen :]:
            say(self._line(event), flush=True)
        self._seen = len(events)

    def _line(self, event: Mapping[str, Any]) -> str:
        start = f"trial {event['trial']}"
        if event["event"] == "begin":
            params = " ".join(f"{key}={short(value)}" for key, value in event["params"].items())
            return f"{start}: {params}"
        if event["event"] == "epoch":
            value = event["valid"][self.metric]
            text = f"{start}: epoch {event['epoch']}/{self.epochs} {self.metric} {value:.4f}"
            return text + (", stopped" if event["stop"] else "")
        return f"{start}: {event.get('message') or event['event']}"

    def _show_table(self) -> None:
        from rich.live import Live

        with Live(self.table(), refresh_per_second=2, transient=False) as live:
            while not self._over.wait(_LOOK_EVERY):
                live.update(self.table())
            live.update(self.table(whole=True), refresh=True)

    def table(self, whole: bool = False):
        """Build a `rich` table with one line per trial.

        Args:
            whole: show all trials; else as many as fit the screen: running ones, then the best.
        """
        from rich.table import Table
        from rich.text import Text

        trials = self.ledger.trials()
        best = best_trial(trials, self.metric, self.bigger)
        over = sum(trial.is_over for trial in trials)
        table = Table(title=f"{over} of {self.n_trials} trials over")
        for name in ("trial", "status", "epoch", self.metric, "minutes", "parameters"):
            table.add_column(name, justify="left" if name in ("status", "parameters") else "right")
        for trial in trials if whole else self._of_interest(trials):
            value = _best_value(trial, self.metric, self.bigger)
            params = " ".join(f"{key}={short(value)}" for key, value in trial.params.items())
            table.add_row(
                str(trial.index),
                trial.status,
                f"{trial.last_epoch}/{self.epochs}",
                "" if value is None else f"{value:.4f}",
                f"{trial.minutes:.1f}",
                Text(printable(trial.message or params)),  # not parsed as rich markup
                style="bold" if trial is best else "red" if trial.status == FAILED else None,
            )
        return table

    def _of_interest(self, trials: list[Trial], most: int = 20) -> list[Trial]:
        def rank(trial: Trial) -> tuple[bool, float]:
            value = _best_value(trial, self.metric, self.bigger)
            worst = math.inf if value is None else -value if self.bigger else value
            return trial.is_over, worst

        kept = sorted(trials, key=rank)[:most]
        return sorted(kept, key=lambda trial: trial.index)


# --- pictures ---------------------------------------------------------------------------------


def _colours(values: Sequence[float], bigger: bool):
    """A colour scale for a metric, clipped so that very poor trials do not hide differences."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    shades = colormaps["viridis"]([0.85, 0.6, 0.4, 0.2, 0.0])  # without the pale end
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


def parallel_coordinates(
    path: Path, space: Space, trials: Sequence[Trial], metric: str, bigger: bool
) -> None:
    """Draw parallel coordinates: one axis per parameter plus the metric, one line per trial.

    The line of the best trial is thick.

    Args:
        path: PNG to write.
        space: the search space.
        trials: trials; those without a metric are skipped.
        metric: validation metric.
        bigger: whether a larger value is better.
    """
    shown = [trial for trial in trials if trial.epochs]
    scores = [_best_value(trial, metric, bigger) for trial in shown]
    best = best_trial(shown, metric, bigger)
    keys = list(space)
    with picture(path, (max(5.0, 1.35 * (len(keys) + 1)), 4.2)) as (_, grid):
        axes = grid[0, 0]
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
            axes.plot(
                range(len(keys) + 1),
                [*line, heights[i]],
                color="crimson" if is_best else colours.to_rgba(scores[i]),
                linewidth=2.6 if is_best else 1.2,
                linestyle=":" if shown[i].status == STOPPED else "-",
                alpha=1.0 if is_best else 0.75,
                label=f"trial {best.index}, the best" if is_best else None,
            )
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


def _axis(axes, x: int, ticks: Sequence[float], texts: Sequence[str]) -> None:
    axes.axvline(x, color="0.75", linewidth=1, zorder=0)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.8}
    for tick, text in zip(ticks, texts, strict=True):
        axes.text(x - 0.06, tick, text, fontsize=8, ha="right", va="center", bbox=box, zorder=5)


def metric_against_time(path: Path, trials: Sequence[Trial], metric: str, bigger: bool) -> None:
    """Plot the validation metric of all trials, and the best so far, over search time.

    Args:
        path: PNG to write.
        trials: trials; those without a metric are skipped.
        metric: validation metric.
        bigger: whether a larger value is better.
    """
    shown = [trial for trial in trials if trial.epochs]
    best = best_trial(shown, metric, bigger)
    with picture(path, (7.2, 3.8)) as (_, grid):
        axes = grid[0, 0]
        colours = _colours([_best_value(trial, metric, bigger) for trial in shown], bigger)
        for trial in shown:
            times = [record["at"] for record in trial.epochs]
            values = [record["valid"][metric] for record in trial.epochs]
            colour = colours.to_rgba(_best_value(trial, metric, bigger))
            is_best = trial is best
            axes.plot(
                times,
                values,
                color="crimson" if is_best else colour,
                linewidth=2.0 if is_best else 0.9,
                marker="." if len(times) < 40 else None,
                markersize=4,
                label=f"trial {best.index}, the best" if is_best else None,
                zorder=3 if is_best else 2,
            )
            if trial.status == STOPPED:
                axes.plot(times[-1], values[-1], "x", color=colour, markersize=7, zorder=4)
        points = sorted((r["at"], r["valid"][metric]) for trial in shown for r in trial.epochs)
        so_far, peak = [], None
        for _, value in points:
            peak = value if peak is None else max(peak, value) if bigger else min(peak, value)
            so_far.append(peak)
        times = [at for at, _ in points]
        axes.step(times, so_far, where="post", color="black", linewidth=1.2, label="best so far")
        if any(trial.status == STOPPED for trial in shown):
            axes.plot([], [], "x", color="grey", label="stopped early")
        axes.set_xlabel("minutes of the search")
        axes.set_ylabel(f"validation {metric}")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9
        )
