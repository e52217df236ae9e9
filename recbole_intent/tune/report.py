"""Report of a search: a live table and `trials.csv`."""

import csv
import math
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.tune.ledger import FAILED, Ledger, Trial, best_trial
from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.printable import printable, say

_LOOK_EVERY = 0.5  # seconds


def short(value: Any) -> str:
    """Shorten a parameter for display: numbers to 4 digits, other values to 40 characters."""
    text = f"{value:.4g}" if isinstance(value, float) else printable(value)
    return text if len(text) <= 40 else text[:37] + "…"


def best_value(trial: Trial, metric: str, bigger: bool) -> float | None:
    """The metric of a trial's best epoch; None before the first evaluated epoch."""
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
            value = best_value(trial, self.metric, self.bigger)
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
            value = best_value(trial, self.metric, self.bigger)
            worst = math.inf if value is None else -value if self.bigger else value
            return trial.is_over, worst

        kept = sorted(trials, key=rank)[:most]
        return sorted(kept, key=lambda trial: trial.index)
