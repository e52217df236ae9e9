"""Which parameters the next trial gets: at random, or from what the trials before it taught.

Both go on after a kill as if it had not been: what they suggest depends on the seed, the number
of the trial and the results so far, and on no state of theirs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from recbole_intent.errors import UserError
from recbole_intent.files import fingerprint
from recbole_intent.search.ledger import FINISHED, STOPPED, Trial
from recbole_intent.search.space import Choice, Range, Space

# Draws of one trial that are thrown away, being refused or seen before, until a space counts as
# used up.
_PATIENCE = 300


class RandomSuggester:
    """Draws every key by itself; the n-th trial depends on the seed and n alone.

    Args:
        space: what to draw from.
        seed: >= 0.
        check: raises UserError for parameters that cannot go together; these are drawn anew.
    """

    def __init__(self, space: Space, seed: int, check: Callable[[dict[str, Any]], None]) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._check = check
        self._seen: set[str] = set()
        self._draws: list[dict[str, Any]] = []

    def suggest(self, index: int) -> dict[str, Any] | None:
        """Parameters of a trial, none twice; None where the space is used up.

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
        """Nothing: its number alone says what a trial gets."""

    def learn(self, trial: Trial) -> None:
        """Nothing: chance does not learn."""


class OptunaSuggester:
    """Optuna's tree-structured Parzen estimator: good regions are drawn from more often.

    What it suggests depends on which results had come in when it was asked, and so, where trials
    run side by side, on their speed.

    Args:
        space: what to draw from.
        seed: >= 0.
        check: as `RandomSuggester`.
        metric: name in `valid` to go by.
        bigger: whether more of it is better.

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
        if isinstance(domain, Choice):  # by position: Optuna takes no lists as values
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
        # Seeded for each question, so that no state of the sampler needs to be kept.
        state = np.random.SeedSequence([self._seed, index, attempt]).generate_state(1)
        self._study.sampler = self._optuna.samplers.TPESampler(seed=int(state[0]))
        return self._study.ask(self._distributions)

    def recall(self, trial: Trial) -> None:
        """Take up a trial that was suggested before a kill."""
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
        """Take in what became of a trial."""
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
