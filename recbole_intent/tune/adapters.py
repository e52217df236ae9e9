"""Ray Tune searcher and scheduler that read from and write to the ledger.

Every decision is written to the ledger before it takes effect. Import only while Ray is running.
"""

import time
from pathlib import Path

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from recbole_intent.tune.ledger import Ledger, Trial


class LedgerSearcher(Searcher):
    """Ray searcher that first resumes interrupted trials, then suggests new ones.

    Args:
        ledger: records new trials.
        suggester: provides their parameters.
        waiting: interrupted trials to resume.
        n_trials: total number of trials.
    """

    def __init__(self, ledger: Ledger, suggester, waiting: list[Trial], n_trials: int) -> None:
        super().__init__()
        self._ledger, self._suggester = ledger, suggester
        self._waiting = [trial.index for trial in waiting]
        self._next = len(ledger.trials())
        self._n_trials = n_trials
        self._index_of: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict | str:
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


class LedgerScheduler(FIFOScheduler):
    """FIFO scheduler that asks the judge after each reported epoch whether to stop the trial.

    Args:
        ledger: records epochs and decisions.
        judge: `scheduler.Judge`.
    """

    def __init__(self, ledger: Ledger, judge) -> None:
        super().__init__()
        self._ledger, self._judge = ledger, judge
        trials = ledger.trials()
        self._last_epoch = {trial.index: trial.last_epoch for trial in trials}
        # The clock continues from the last recorded minute: pauses between runs do not count.
        self._before = max((r["at"] for trial in trials for r in trial.epochs), default=0.0)
        self._began: float | None = None  # set later: on a cluster, this object is sent there first

    def on_trial_add(self, controller, trial) -> None:
        """Start the clock with the first trial."""
        super().on_trial_add(controller, trial)
        if self._began is None:
            self._began = time.monotonic()

    def on_trial_result(self, controller, trial, result: dict) -> str:
        """Record an epoch or the end of a trial."""
        index = trial.config["index"]
        if result.get("finished"):
            self._ledger.append("finished", index)
            return TrialScheduler.STOP
        epoch = result.get("epoch", 0)
        if epoch <= self._last_epoch.get(index, 0):  # Ray repeats a trial's last result at its end
            return TrialScheduler.CONTINUE
        self._last_epoch[index] = epoch
        valid = {
            key.removeprefix("valid/"): value
            for key, value in result.items()
            if key.startswith("valid/")
        }
        stop = self._judge.stops(index, epoch, valid)
        self._ledger.append(
            "epoch",
            index,
            epoch=epoch,
            valid=valid,
            seconds=round(result["seconds"], 3),
            at=round(self._before + (time.monotonic() - self._began) / 60, 4),
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
