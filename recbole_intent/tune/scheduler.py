"""Early stopping of trials with Ray's rules, based on the validation metric of each epoch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recbole_intent.config.command_keys import TUNE, refuse


@dataclass(frozen=True)
class _Name:
    """Stand-in for a Ray trial, with an id that is stable across restarts."""

    trial_id: str


class Judge:
    """Decides after each epoch of a trial whether to stop it.

    The rules keep their state in memory; after a kill, `replay` rebuilds it from the same results
    in the same order.

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
        # An infinite time slice keeps the rule from pausing trials to compare them sooner.
        return MedianStoppingRule(min_time_slice=float("inf"), min_samples_required=3, **common)

    def stops(self, trial: int, epoch: int, valid: Mapping[str, float]) -> bool:
        """Whether to stop a trial after an epoch, given the metrics of that epoch.

        Args:
            trial: index of the trial.
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
        # At the last epoch the rule stops every trial; that is not early stopping.
        return decision == self._rule.STOP and epoch < self.epochs

    def replay(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Rebuild the state from the events of a ledger, in order."""
        for event in events:
            if event["event"] == "epoch":
                self.stops(event["trial"], event["epoch"], event["valid"])
