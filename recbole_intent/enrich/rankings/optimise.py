"""Prompt optimisation of PO4ISR: refine a strategy by its errors, and choose by a bandit.

Source: Sun et al., "Large Language Models for Intent-Driven Session Recommendations", SIGIR 2024.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recbole_intent.enrich.options import RankingOptions
from recbole_intent.enrich.rankings.asking import Questions, RankTask, gain, rank_of_target
from recbole_intent.enrich.samples import some_of


@dataclass
class Chosen:
    """The result of an optimisation.

    Attributes:
        strategy: the best one on validation.
        history: per round of refinement, the strategies that were compared and kept; then the
            final choice. Plain values.
    """

    strategy: str
    history: list[dict[str, Any]] = field(default_factory=list)


def optimise(
    first: str,
    train: Sequence[RankTask],
    valid: Sequence[RankTask],
    questions: Questions,
    options: RankingOptions,
) -> Chosen:
    """Refine a strategy on training tasks, and choose the final one on validation tasks.

    In each round every strategy ranks a batch of training tasks. From the tasks whose target is
    not among the best `good_rank`, the model derives reasons, a refined strategy and paraphrases
    of it. A bandit then finds the best `kept` of at most `tried` strategies.

    Args:
        first: the first strategy.
        train, valid: tasks.
        questions: asks the model.
        options: sizes.
    """
    rng = np.random.default_rng(options.seed)
    strategies, chosen = [first], Chosen(first)

    def reward(strategy: str, tasks: Sequence[RankTask]) -> list[float]:
        rankings = questions.rank(strategy, tasks)
        return [gain(rank_of_target(t, r)) for t, r in zip(tasks, rankings, strict=True)]

    for _ in range(options.depth):
        compared = list(strategies)
        for strategy in strategies:
            batch = some_of(train, options.batch, rng)
            rankings = questions.rank(strategy, batch)
            errors = [
                task
                for task, ranking in zip(batch, rankings, strict=True)
                if rank_of_target(task, ranking) > options.good_rank
            ][: options.errors_shown]
            if not errors:
                continue
            reasons = questions.reasons(strategy, errors, options.reasons)
            refined = questions.refined(strategy, errors, reasons)
            if refined:
                compared += [refined, *questions.paraphrases(refined, options.paraphrases)]
        compared = some_of(list(dict.fromkeys(compared)), options.tried, rng)
        rewards = bandit(
            compared, lambda s: reward(s, some_of(train, options.round_sessions, rng)), options
        )
        best = sorted(range(len(compared)), key=lambda i: -_mean(rewards[i]))[: options.kept]
        strategies = [compared[i] for i in best]
        chosen.history.append(
            {
                "compared": [
                    {"strategy": s, "mean": _mean(r), "tries": len(r)}
                    for s, r in zip(compared, rewards, strict=True)
                ],
                "kept": best,
            }
        )
    scores = [_mean(reward(strategy, valid)) for strategy in strategies]
    chosen.strategy = strategies[int(np.argmax(scores))]
    chosen.history.append(
        {"final": [{"strategy": s, "valid": v} for s, v in zip(strategies, scores, strict=True)]}
    )
    return chosen


def bandit(
    arms: Sequence[str], pull: Callable[[str], Sequence[float]], options: RankingOptions
) -> list[list[float]]:
    """The rewards of each arm after `rounds` draws by upper confidence bounds.

    A draw takes the arm with the largest mean + `exploration` √(ln t / n), where n counts the
    rewards of an arm and t all of them; arms without any come first.
    """
    rewards: list[list[float]] = [[] for _ in arms]
    for _ in range(options.rounds):
        total = sum(map(len, rewards))

        def bound(i: int, total: int = total) -> float:
            n = len(rewards[i])
            bonus = math.sqrt(math.log(total) / n) if n else math.inf
            return _mean(rewards[i]) + options.exploration * bonus

        best = max(range(len(arms)), key=bound)
        rewards[best] += pull(arms[best])
    return rewards


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
