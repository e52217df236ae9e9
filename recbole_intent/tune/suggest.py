"""Suggesters of trial parameters: random search and Ray's OptunaSearch.

A kill does not change their suggestions: these depend only on the seed, the index of the trial
and the results so far, not on internal state.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_intent.tune.ledger import FINISHED, STOPPED, Trial
from recbole_intent.tune.space import Choice, Range, Space
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint

if TYPE_CHECKING:
    import optuna

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
        self._space, self._seed, self._check = space, seed, check
        self._rng = np.random.default_rng(seed)
        self._seen: set[str] = set()

    def suggest(self, index: int) -> dict[str, Any] | None:
        """Draw parameters that no trial has had yet; None if the space is exhausted.

        Args:
            index: of the trial; suggestions and recalls are made in order, from 0.

        Raises:
            UserError: no draw passes the check.
        """
        refusal = None
        for attempt in range(_PATIENCE):
            params = self._draw(index, attempt)
            digest = fingerprint(params)
            if digest in self._seen:
                continue
            self._seen.add(digest)
            try:
                self._check(params)
            except UserError as error:
                refusal = error
            else:
                return params
        if refusal is not None and index == 0:
            raise refusal
        return None

    def _draw(self, index: int, attempt: int) -> dict[str, Any]:
        return {key: domain.draw(self._rng) for key, domain in self._space.items()}

    def recall(self, trial: Trial) -> None:
        """Register a trial that was suggested before a kill."""
        self.suggest(trial.index)

    def learn(self, trial: Trial) -> None:
        """Learn from the outcome of a trial; random search does not."""


class OptunaSuggester(RandomSuggester):
    """Ray's OptunaSearch: Optuna's tree-structured Parzen estimator samples good regions more.

    Used as it comes, OptunaSearch suggests the same parameters twice and goes on when a space is
    exhausted, learns the value of the last epoch instead of the best, and keeps the state of its
    sampler in a snapshot that a kill makes stale. Hence the checks, the best value, and a sampler
    seeded for each suggestion. A suggestion depends on the results available at that time. With
    parallel trials it therefore depends on their speed.

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
        super().__init__(space, seed, check)
        try:
            import optuna
            from ray.tune.search.optuna import OptunaSearch
        except ModuleNotFoundError as error:
            raise UserError(
                "--algorithm=optuna needs Optuna (extra search): pip install optuna"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._metric, self._bigger = metric, bigger
        distributions = {key: self._distribution(domain) for key, domain in space.items()}
        self._search = OptunaSearch(distributions, "value", "max" if bigger else "min")
        self._ids: dict[int, str] = {}

    @property
    def _study(self) -> "optuna.Study":
        return self._search._ot_study  # type: ignore[return-value]  # Ray declares it as None

    def _distribution(self, domain: Choice | Range):
        kinds = self._optuna.distributions
        if isinstance(domain, Choice):  # by position: Optuna does not accept lists as values
            return kinds.CategoricalDistribution(tuple(range(len(domain.values))))
        if domain.kind == "int":
            return kinds.IntDistribution(domain.low, domain.high)
        return kinds.FloatDistribution(domain.low, domain.high, log=domain.kind == "loguniform")

    def _draw(self, index: int, attempt: int) -> dict[str, Any]:
        if attempt:  # the last draw was rejected
            self._search.on_trial_complete(self._ids[index], error=True)
        state = np.random.SeedSequence([self._seed, index, attempt]).generate_state(1)
        self._study.sampler = self._optuna.samplers.TPESampler(seed=int(state[0]))
        return self._ask(index, attempt)

    def _ask(self, index: int, attempt: int = 0) -> dict[str, Any]:
        self._ids[index] = f"{index}.{attempt}"
        values = self._search.suggest(self._ids[index])
        assert values is not None  # Ray limits nothing here
        return {
            key: domain.values[values[key]] if isinstance(domain, Choice) else values[key]
            for key, domain in self._space.items()
        }

    def recall(self, trial: Trial) -> None:
        """Register a trial that was suggested before a kill, and its outcome."""
        self._seen.add(fingerprint(trial.params))
        self._study.enqueue_trial(
            {
                key: domain.values.index(trial.params[key])
                if isinstance(domain, Choice)
                else trial.params[key]
                for key, domain in self._space.items()
            }
        )
        self._ask(trial.index)
        if trial.is_over:
            self.learn(trial)

    def learn(self, trial: Trial) -> None:
        """Learn from the outcome of a trial: its best value, or that it was stopped or failed."""
        name = self._ids.pop(trial.index, None)
        if name is None:
            return
        best = trial.best(self._metric, self._bigger)
        if best is None or trial.status not in (FINISHED, STOPPED):
            self._search.on_trial_complete(name, error=True)
            return
        for record in trial.epochs:
            report = {"value": record["valid"][self._metric], "training_iteration": record["epoch"]}
            self._search.on_trial_result(name, report)
        result = {"value": best["valid"][self._metric]} if trial.status == FINISHED else None
        self._search.on_trial_complete(name, result)  # without a result: pruned
