"""Append-only event log of a search, the only state that a restart needs."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.own_files import damaged, read_json_lines

_FRESH = "use --fresh to overwrite the search"
WAITING, RUNNING, FINISHED, STOPPED, FAILED = "waiting running finished stopped failed".split()


@dataclass
class Trial:
    """One set of parameters and its results.

    Attributes:
        index: 0, 1, … in the order of suggestion.
        params: key -> value.
        status: waiting (new or interrupted), running, finished (all epochs done, or early
            stopping), stopped (by the scheduler) or failed.
        epochs: one record per evaluated epoch: `epoch` from 1, `valid`, `seconds` of training so
            far, `at`: minutes since the search began, without pauses.
        message: why it failed.
    """

    index: int
    params: dict[str, Any]
    status: str = WAITING
    epochs: list[dict[str, Any]] = field(default_factory=list)
    message: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the trial has ended."""
        return self.status in (FINISHED, STOPPED, FAILED)

    @property
    def last_epoch(self) -> int:
        """The last reported epoch, from 1; 0 before the first."""
        return self.epochs[-1]["epoch"] if self.epochs else 0

    @property
    def minutes(self) -> float:
        """Minutes of its own training, without shared pre-training."""
        return self.epochs[-1]["seconds"] / 60 if self.epochs else 0.0

    def best(self, metric: str, bigger: bool) -> dict[str, Any] | None:
        """The record of its best epoch; ties go to the last epoch, as in the trainer."""
        sign = 1 if bigger else -1
        return max(reversed(self.epochs), key=lambda r: sign * r["valid"][metric], default=None)


def _is_event(event: Any, begun: set[int]) -> bool:
    """Whether a line is a valid next event, given the trials that have begun."""
    match event:
        case {"event": "begin", "trial": int(trial), "params": dict()}:
            return trial >= 0 and trial not in begun
        case {
            "event": "epoch",
            "trial": int(trial),
            "epoch": int(),
            "valid": dict(),
            "seconds": int() | float(),
            "at": int() | float(),
            "stop": bool(),
        }:
            return trial in begun
        case {"event": "failed", "trial": int(trial), "message": str()}:
            return trial in begun
        case {"event": "finished" | "again", "trial": int(trial)}:
            return trial in begun
    return False


@dataclass(frozen=True)
class Ledger:
    """A file of events, one JSON object per line, synced to disk before they take effect.

    Events are `begin` (trial, params), `epoch` (trial, epoch, valid, seconds, at, stop),
    `finished`, `failed` (message) and `again`. A process killed while writing leaves an incomplete
    last line, which does not count as an event; `drop_unfinished_line` removes it.

    Attributes:
        path: path of the file, which need not exist yet.
    """

    path: Path

    def append(self, event: str, trial: int, **facts: Any) -> None:
        """Append an event.

        Raises:
            UserError: the file cannot be written.
        """
        line = json.dumps({"event": event, "trial": trial, **facts}, allow_nan=False)
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from error

    def events(self) -> Iterator[dict[str, Any]]:
        """Iterate over all complete events in order.

        Raises:
            UserError: a line that is not an event, unless it is an incomplete last line.
        """
        if not os.path.lexists(self.path):
            return
        begun: set[int] = set()
        for number, event in read_json_lines(self.path, _FRESH):
            if not _is_event(event, begun):
                raise damaged(f"{self.path}:{number}", "not an event of a search", _FRESH)
            begun.add(event["trial"])
            yield event

    def drop_unfinished_line(self) -> None:
        """Remove an incomplete last line left by a killed process."""
        if self.path.is_file() and not (text := self.path.read_bytes()).endswith(b"\n"):
            with atomic_write(self.path) as temporary:
                temporary.write_bytes(text[: text.rfind(b"\n") + 1])

    def trials(self) -> list[Trial]:
        """The current state of each trial, by index."""
        trials: list[Trial] = []
        for event in self.events():
            kind, index = event["event"], event["trial"]
            if kind == "begin":
                if index != len(trials):
                    raise damaged(self.path, f"trial {len(trials)} is missing", _FRESH)
                trials.append(Trial(index, event["params"]))
                continue
            trial = trials[index]
            if kind == "epoch":
                record = {key: event[key] for key in ("epoch", "valid", "seconds", "at")}
                trial.epochs.append(record)
                trial.status = STOPPED if event["stop"] else RUNNING
            elif kind == "finished":
                trial.status = FINISHED
            elif kind == "failed":
                trial.status, trial.message = FAILED, event["message"]
            elif kind == "again":
                trial.status, trial.message = WAITING, ""
        return trials


def best_trial(trials: Sequence[Trial], metric: str, bigger: bool) -> Trial | None:
    """The trial with the best validation metric; ties go to the first. None without epochs."""
    sign = 1 if bigger else -1
    scores = [(trial.best(metric, bigger), trial) for trial in trials]
    known = [(sign * record["valid"][metric], trial) for record, trial in scores if record]
    return max(known, key=lambda pair: pair[0], default=(0, None))[1]
