"""Which trials go on: Ray's own rules, judging by the validation metric of each epoch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recbole_intent.command_keys import TUNE, refuse


@dataclass(frozen=True)
class _Name:
    """What a rule needs of a trial: an id that is the same after a restart."""

    trial_id: str


class Judge:
    """Says after each epoch of a trial whether to stop it.

    The rules keep their state in memory; after a kill it is made anew by telling them the same
    results in the same order (`replay`).

    Args:
        name: asha (successive halving: at epochs grace, grace * reduction, … a trial stays if it
            is among the best 1/reduction of those that came there before), median (it stays
            while its best value is no worse than the median of the others' means) or none.
        metric: name in the validation metrics.
        bigger: whether more of it is better.
        epochs: of a whole trial.
        grace: epochs that every trial gets, >= 1.
        reduction: > 1.

    Raises:
        UserError: an unknown name, or a number out of range.
    """

    def __init__(
        self, name: str, metric: str, bigger: bool, *, epochs: int, grace: int, reduction: float
    ) -> None:
        refuse(TUNE, {"scheduler": name, "grace": grace, "reduction": reduction})
        self.metric, self.epochs = metric, epochs
        self._known: set[int] = set()
        self._rule = self._make(name, "max" if bigger else "min", min(grace, epochs), reduction)

    def _make(self, name: str, mode: str, grace: int, reduction: float):
        if name == "none":
            return None
        from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule

        common = {"time_attr": "epoch", "metric": self.metric, "mode": mode, "grace_period": grace}
        if name == "asha":
            return ASHAScheduler(max_t=self.epochs, reduction_factor=reduction, **common)
        # It would pause trials to compare them sooner; ours run without a pause.
        return MedianStoppingRule(min_time_slice=float("inf"), min_samples_required=3, **common)

    def stops(self, trial: int, epoch: int, valid: Mapping[str, float]) -> bool:
        """Whether a trial ends after an epoch, by the metrics of that epoch.

        Args:
            trial: its number.
            epoch: from 1.
            valid: validation metrics.
        """
        if self._rule is None:
            return False
        name = _Name(f"{trial:04d}")
        if trial not in self._known:
            self._known.add(trial)
            self._rule.on_trial_add(None, name)
        result = {"epoch": epoch, self.metric: valid[self.metric]}
        decision = self._rule.on_trial_result(None, name, result)
        # At the last epoch the rule says stop to all; such a trial is not cut short.
        return decision == self._rule.STOP and epoch < self.epochs

    def replay(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take in what a ledger holds, in its order."""
        for event in events:
            if event["event"] == "epoch":
                self.stops(event["trial"], event["epoch"], event["valid"])
