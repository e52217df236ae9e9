"""Suggesters of trial parameters: random search and Optuna's TPE.

A kill does not change their suggestions: these depend only on the seed, the index of the trial
and the results so far, not on internal state.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from recbole_intent.tune.ledger import FINISHED, STOPPED, Trial
from recbole_intent.tune.space import Choice, Range, Space
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint

# The space counts as exhausted after this many rejected or repeated draws for one trial.
_PATIENCE = 300


class RandomSuggester:
    """Draws every key independently; the n-th trial depends only on the seed and n.

    Args:
        space: the search space.
        seed: >= 0.
        check: raises UserError for incompatible parameters; these are drawn again.
    """

    def __init__(self, space: Space, seed: int, check: Callable[[dict[str, Any]], None]) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._check = check
        self._seen: set[str] = set()
        self._draws: list[dict[str, Any]] = []

    def suggest(self, index: int) -> dict[str, Any] | None:
        """Draw parameters that no trial has had yet; None if the space is exhausted.

        Raises:
            UserError: no draw passes the check.
        """
        while len(self._draws) <= index:
            found = self._new_draw()
            if found is None:
                return None
            self._draws.append(found)
        return self._draws[index]

    def _new_draw(self) -> dict[str, Any] | None:
        refused = None
        for _ in range(_PATIENCE):
            params = {key: domain.draw(self._rng) for key, domain in self._space.items()}
            digest = fingerprint(params)
            if digest in self._seen:
                continue
            self._seen.add(digest)
            try:
                self._check(params)
            except UserError as error:
                refused = error
                continue
            return params
        if refused is not None and not self._draws:
            raise refused
        return None

    def recall(self, trial: Trial) -> None:
        """Do nothing: the parameters depend only on the trial's index."""

    def learn(self, trial: Trial) -> None:
        """Do nothing: random search does not learn."""


class OptunaSuggester:
    """Optuna's tree-structured Parzen estimator, which samples good regions more often.

    A suggestion depends on the results available at that time. With parallel trials it therefore
    depends on their speed.

    Args:
        space: the search space.
        seed: >= 0.
        check: as `RandomSuggester`.
        metric: name in `valid` of the metric to optimize.
        bigger: whether a larger value is better.

    Raises:
        UserError: Optuna is not installed.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        check: Callable[[dict[str, Any]], None],
        metric: str,
        bigger: bool,
    ) -> None:
        try:
            import optuna
        except ModuleNotFoundError as error:
            raise UserError(
                "--algorithm=optuna needs Optuna (extra search): pip install optuna"
            ) from error
        self._optuna = optuna
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction="maximize" if bigger else "minimize")
        self._space, self._seed, self._check = space, seed, check
        self._metric, self._bigger = metric, bigger
        self._distributions = {key: self._distribution(domain) for key, domain in space.items()}
        self._asked: dict[int, Any] = {}
        self._seen: set[str] = set()
        self._has_suggested = False

    def _distribution(self, domain: Choice | Range):
        kinds = self._optuna.distributions
        if isinstance(domain, Choice):  # by position: Optuna does not accept lists as values
            return kinds.CategoricalDistribution(tuple(range(len(domain.values))))
        if domain.kind == "int":
            return kinds.IntDistribution(domain.low, domain.high)
        return kinds.FloatDistribution(domain.low, domain.high, log=domain.kind == "loguniform")

    def suggest(self, index: int) -> dict[str, Any] | None:
        """As `RandomSuggester.suggest`."""
        refused = None
        for attempt in range(_PATIENCE):
            trial = self._ask(index, attempt)
            params = {
                key: domain.values[trial.params[key]]
                if isinstance(domain, Choice)
                else trial.params[key]
                for key, domain in self._space.items()
            }
            digest = fingerprint(params)
            if digest not in self._seen:
                self._seen.add(digest)
                try:
                    self._check(params)
                except UserError as error:
                    refused = error
                else:
                    self._asked[index] = trial
                    self._has_suggested = True
                    return params
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        if refused is not None and not self._has_suggested:
            raise refused
        return None

    def _ask(self, index: int, attempt: int):
        # Seeded for each suggestion, so that no sampler state needs to be stored.
        state = np.random.SeedSequence([self._seed, index, attempt]).generate_state(1)
        self._study.sampler = self._optuna.samplers.TPESampler(seed=int(state[0]))
        return self._study.ask(self._distributions)

    def recall(self, trial: Trial) -> None:
        """Register a trial that was suggested before a kill."""
        given = {
            key: domain.values.index(trial.params[key])
            if isinstance(domain, Choice)
            else trial.params[key]
            for key, domain in self._space.items()
        }
        self._seen.add(fingerprint(trial.params))
        self._study.enqueue_trial(given)
        self._asked[trial.index] = self._study.ask(self._distributions)
        self._has_suggested = True
        if trial.is_over:
            self.learn(trial)

    def learn(self, trial: Trial) -> None:
        """Learn from the outcome of a trial."""
        asked = self._asked.pop(trial.index, None)
        if asked is None:
            return
        states = self._optuna.trial.TrialState
        best = trial.best(self._metric, self._bigger)
        if best is None or trial.status not in (FINISHED, STOPPED):
            self._study.tell(asked, state=states.FAIL)
            return
        for record in trial.epochs:
            asked.report(record["valid"][self._metric], record["epoch"])
        if trial.status == STOPPED:
            self._study.tell(asked, state=states.PRUNED)
        else:
            self._study.tell(asked, best["valid"][self._metric])


Suggester = RandomSuggester | OptunaSuggester
