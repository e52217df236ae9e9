"""Ray Tune searcher and scheduler that read from and write to the ledger.

Every decision is written to the ledger before it takes effect. Import only after `require_ray`.

`Tuner.restore` cannot replace the ledger. Tried with Ray 2.60 and `kill -9`: the scheduler is not
part of a snapshot, so that after a restart trials compete with none of the earlier ones. By its
code, snapshots are ten seconds or more apart and copied in place, so that a kill may lose the end
of a trial or leave half a file, and a search cannot be given more trials than it began with.
"""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)
from ray.tune.search import Searcher

from recbole_intent.tune.ledger import Ledger
from recbole_intent.tune.suggest import RandomSuggester


class LedgerSearcher(Searcher):
    """Ray searcher that first resumes interrupted trials, then suggests new ones.

    Args:
        ledger: records new trials.
        suggester: provides their parameters.
        n_trials: total number of trials.
    """

    def __init__(self, ledger: Ledger, suggester: RandomSuggester, n_trials: int) -> None:
        super().__init__()
        trials = ledger.trials()
        self._ledger, self._suggester, self._n_trials = ledger, suggester, n_trials
        self._waiting = [trial.index for trial in trials if not trial.is_over]
        self._next = len(trials)
        self._index_of: dict[str, int] = {}

    # Ray expects the text `FINISHED`, which its annotation leaves out.
    def suggest(self, trial_id: str) -> dict | str:  # type: ignore[override]
        """Assign the next trial's index to the Ray trial with this id."""
        if self._waiting:
            index = self._waiting.pop(0)
        else:
            index = self._next
            params = self._suggester.suggest(index) if index < self._n_trials else None
            if params is None:
                return Searcher.FINISHED
            self._ledger.append("begin", index, params=params)
            self._next += 1
        self._index_of[trial_id] = index
        return {"index": index}

    def on_trial_complete(self, trial_id: str, result=None, error: bool = False) -> None:
        """Pass the outcome of a trial to the suggester."""
        self._suggester.learn(self._ledger.trials()[self._index_of.pop(trial_id)])

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger holds the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger holds the state."""


@dataclass(frozen=True)
class _Name:
    """Stand-in for a Ray trial, with an id that is stable across restarts."""

    trial_id: str


def stopping_rule(
    name: str, metric: str, bigger: bool, *, epochs: int, grace: int, reduction: float
) -> FIFOScheduler:
    """Return Ray's scheduler of that name.

    Args:
        name: asha (successive halving: at epochs grace, grace * reduction, … a trial continues if
            it is among the best 1/reduction of those that have reached that epoch), median (it
            continues while its best value is not worse than the median of the others' means) or
            none.
        metric: name in the validation metrics.
        bigger: whether a larger value is better.
        epochs: epochs of a full trial.
        grace: epochs that every trial gets, >= 1.
        reduction: reduction factor, > 1.
    """
    mode, grace = "max" if bigger else "min", min(grace, epochs)
    if name == "asha":
        return ASHAScheduler("epoch", metric, mode, epochs, grace, reduction)
    if name == "median":
        # An infinite time slice keeps the rule from pausing trials to compare them sooner.
        endless: Any = math.inf  # Ray's annotation asks for a whole number
        return MedianStoppingRule("epoch", metric, mode, grace, 3, min_time_slice=endless)
    return FIFOScheduler()


class _Rule(Protocol):
    """A stopping rule of Ray, of whose trials only the identity is read."""

    def on_trial_add(self, controller: Any, trial: Any, /) -> None: ...

    def on_trial_result(self, controller: Any, trial: Any, result: dict, /) -> str: ...


class LedgerScheduler(FIFOScheduler):
    """Records every epoch of every trial, and stops the trials that Ray's rule stops.

    Ray's rules keep their state in memory; after a kill, it is rebuilt from the ledger.

    Args:
        ledger: records epochs and decisions.
        rule: from `stopping_rule`.
        metric: name in the validation metrics.
        epochs: epochs of a full trial.
    """

    def __init__(self, ledger: Ledger, rule: _Rule, metric: str, epochs: int) -> None:
        super().__init__()
        self._ledger, self._rule, self._key, self._epochs = ledger, rule, metric, epochs
        self._last_epoch: dict[int, int] = {}
        # The clock continues from the last recorded minute: pauses between runs do not count.
        self._before = 0.0
        self._began: float | None = None  # set later: on a cluster, this object is sent there first
        self.replay(ledger.events())

    def replay(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Rebuild the state of the rule from the events of a ledger, in order."""
        for event in events:
            if event["event"] == "epoch":
                self.stops(event["trial"], event["epoch"], event["valid"])
                self._before = max(self._before, event.get("at", 0.0))

    def stops(self, trial: int, epoch: int, valid: Mapping[str, float]) -> bool:
        """Whether to stop a trial after an epoch, given the metrics of that epoch.

        Args:
            trial: index of the trial.
            epoch: from 1.
            valid: validation metrics.
        """
        name = _Name(f"{trial:04d}")
        if trial not in self._last_epoch:
            self._rule.on_trial_add(None, name)
        self._last_epoch[trial] = epoch
        result = {"epoch": epoch, self._key: valid[self._key]}
        decision = self._rule.on_trial_result(None, name, result)
        # At the last epoch the rule stops every trial; that is not early stopping.
        return decision == TrialScheduler.STOP and epoch < self._epochs

    def on_trial_add(self, controller, trial) -> None:
        """Start the clock with the first trial."""
        if self._began is None:
            self._began = time.monotonic()

    def _minutes(self) -> float:
        return 0.0 if self._began is None else (time.monotonic() - self._began) / 60

    def on_trial_result(self, controller, trial, result: dict) -> str:
        """Record an epoch or the end of a trial."""
        index = trial.config["index"]
        if result.get("finished"):
            self._ledger.append("finished", index)
            return TrialScheduler.STOP
        epoch = result.get("epoch", 0)
        if epoch <= self._last_epoch.get(index, 0):  # a trial reports again what it did before
            return TrialScheduler.CONTINUE
        valid = {
            key.removeprefix("valid/"): value
            for key, value in result.items()
            if key.startswith("valid/")
        }
        stop = self.stops(index, epoch, valid)
        self._ledger.append(
            "epoch",
            index,
            epoch=epoch,
            valid=valid,
            seconds=round(result["seconds"], 3),
            at=round(self._before + self._minutes(), 4),
            stop=stop,
        )
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE

    def on_trial_error(self, controller, trial) -> None:
        """Record that a trial failed, through an exception or a kill."""
        text = Path(trial.error_file).read_text("utf-8") if trial.error_file else ""
        self._ledger.append("failed", trial.config["index"], message=_reason(text))


def _reason(text: str) -> str:
    """Reduce Ray's failure text to one line: the last line of the trial's own exception."""
    if "ran low on memory" in text or "running low on memory" in text:
        return "its process was killed: the machine ran out of memory"
    if "died unexpectedly" in text or "actor is dead" in text:
        return "its process was killed (out of memory?)"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "Ray gives no reason"
    return last.removeprefix("recbole_intent.utils.errors.UserError: ")[:300]
