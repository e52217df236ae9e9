"""Report of the offline step: counts and pass rates compared with random guessing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb
from typing import Any

from recbole_intent.evaluation.report import text_table
from recbole_intent.utils.printable import markdown

LEVEL = 0.01  # a pass rate is called above chance at this level


def counted(reasons: Counter[str]) -> str:
    """Format counts as Markdown, most frequent first: `time-out: 3, HTTP 500: 1`."""
    return ", ".join(f"{markdown(reason)}: {n:,}" for reason, n in reasons.most_common())


@dataclass
class StepCounts:
    """Counts of a step with one result per request.

    Attributes:
        done, failed: number of answered and unanswered ones.
        reasons: reason for failure -> count.
        tokens: (prompt, completion) tokens of all answers, cached ones included.
    """

    done: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    tokens: tuple[int, int] = (0, 0)

    def add(self, is_done: bool, problem: str, tokens: tuple[int, int]) -> None:
        """Count one more result."""
        self.done += is_done
        self.failed += not is_done
        if not is_done:
            self.reasons[problem] += 1
        self.tokens = (self.tokens[0] + tokens[0], self.tokens[1] + tokens[1])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {
            "done": self.done,
            "failed": self.failed,
            "reasons": dict(sorted(self.reasons.items())),
            "prompt_tokens": self.tokens[0],
            "completion_tokens": self.tokens[1],
        }


@dataclass(frozen=True)
class AttemptRate:
    """Pass rate of one attempt.

    Attributes:
        attempt: from 1; 0 stands for all attempts together.
        asked, passed: numbers of sessions.
        repeating: pass probability of a random guess.
        distinct: pass probability of a random guess that never repeats a candidate.
        p_value: one-sided binomial test of `passed` against `distinct`.
    """

    attempt: int
    asked: int
    passed: int
    repeating: float
    distinct: float
    p_value: float

    @property
    def rate(self) -> float:
        """Share of sessions that passed, in [0, 1]."""
        return self.passed / self.asked if self.asked else 0.0

    @property
    def is_above_chance(self) -> bool:
        """Whether the rate is significantly better than random guessing."""
        return self.p_value < LEVEL


class Coverage:
    """Counts the outcomes of sessions.

    Args:
        negatives: M, number of random candidates.
        attempts: T, maximum number of attempts.
        is_validated: whether intents had to lead to an item, so that chance level is defined.
    """

    def __init__(self, negatives: int, attempts: int, is_validated: bool) -> None:
        self._choices = negatives + 1
        self._attempts = attempts
        self.is_validated = is_validated
        self.asked = [0] * attempts
        self.passed = [0] * attempts
        self.ends: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.sessions = 0
        self.tokens = (0, 0)

    def add(self, ends: Sequence[str], passed: bool, tokens: tuple[int, int]) -> None:
        """Count one more session: the results of its attempts, and whether the last one passed."""
        self.sessions += 1
        for attempt in range(len(ends)):
            self.asked[attempt] += 1
        if passed:
            self.passed[max(0, len(ends) - 1)] += 1
        else:
            self.reasons[ends[-1]] += 1
        self.ends.update(ends)
        self.tokens = (self.tokens[0] + tokens[0], self.tokens[1] + tokens[1])

    @property
    def total_passed(self) -> int:
        """Number of sessions with intents."""
        return sum(self.passed)

    @property
    def share(self) -> float:
        """Share of sessions with intents, in [0, 1]."""
        return self.total_passed / self.sessions if self.sessions else 0.0

    def rates(self) -> list[AttemptRate]:
        """Rates of each attempt among the sessions that reached it, then of all together."""
        n, rates = self._choices, []
        for i, (asked, passed) in enumerate(zip(self.asked, self.passed, strict=True)):
            # A guess without repetition chooses among the remaining candidates.
            distinct = 1 / max(1, n - i)
            rates.append(_rate(i + 1, asked, passed, 1 / n, distinct))
        repeating = 1 - ((n - 1) / n) ** self._attempts
        distinct = 1 - _ratio(n - 1, n, self._attempts)
        rates.append(_rate(0, self.sessions, self.total_passed, repeating, distinct))
        return rates

    def verdict(self) -> str:
        """One sentence that says whether the rate is above chance."""
        if not self.is_validated:
            return "Nothing was validated: no intent had to lead to an item."
        *attempts, overall = self.rates()
        rate = f"{overall.rate:.1%} of sessions pass, blind picks {overall.repeating:.1%}"
        rate += f" to {overall.distinct:.1%} (p = {overall.p_value:.2g})"
        if overall.is_above_chance:
            return f"Clearly above chance: {rate}."
        first = attempts[0]
        hint = (
            f" The first attempt alone is above it ({first.rate:.1%}, blind {first.distinct:.1%})."
            if first.is_above_chance
            else ""
        )
        return (
            f"NOT clearly above chance: {rate}. These intents are not shown to tell anything of "
            f"the next item; take a better model.{hint}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        values: dict[str, Any] = {
            "sessions": self.sessions,
            "passed": self.total_passed,
            "attempts_ended": dict(sorted(self.ends.items())),
            "failures": dict(sorted(self.reasons.items())),
            "prompt_tokens": self.tokens[0],
            "completion_tokens": self.tokens[1],
        }
        if self.is_validated:
            values["rates"] = [
                {
                    "attempt": rate.attempt or "all",
                    "asked": rate.asked,
                    "passed": rate.passed,
                    "chance": rate.repeating,
                    "chance_without_repetition": rate.distinct,
                    "p_value": rate.p_value,
                }
                for rate in self.rates()
            ]
            values["above_chance"] = self.rates()[-1].is_above_chance
        return values

    def table(self) -> str:
        """Table of passes per attempt, compared with chance."""
        header = ["attempt", "asked", "passed", "rate", "chance", "no repeats", "p"]
        rows = [
            [
                str(rate.attempt or "all"),
                f"{rate.asked:,}",
                f"{rate.passed:,}",
                f"{rate.rate:.1%}",
                f"{rate.repeating:.1%}",
                f"{rate.distinct:.1%}",
                f"{rate.p_value:.2g}",
            ]
            for rate in self.rates()
        ]
        return text_table(header, rows)


def _ratio(top: int, bottom: int, take: int) -> float:
    """C(top, take) / C(bottom, take): the probability that `take` distinct picks all miss."""
    return comb(top, take) / comb(bottom, take) if take <= bottom else 0.0


def _rate(attempt: int, asked: int, passed: int, repeating: float, distinct: float) -> AttemptRate:
    from scipy.stats import binomtest

    p = 1.0 if asked == 0 else binomtest(passed, asked, distinct, alternative="greater").pvalue
    return AttemptRate(attempt, asked, passed, repeating, distinct, float(p))


def summary(
    dataset: str,
    about: str,
    training_sessions: int,
    coverage: Coverage,
    pool: dict[str, int],
    steps: dict[str, StepCounts],
    rest: tuple[int, str] = (0, ""),
) -> str:
    """Write the whole report as text.

    Args:
        dataset: name of the dataset.
        about: origin of the intents.
        training_sessions: number of training sessions in the dataset.
        coverage: coverage of the sessions sent to the model.
        pool: intent -> number of sessions.
        steps: name of a further step -> its counts; steps without counts are left out.
        rest: number of other sessions that have intents, and the origin of these.
    """
    share = f"{coverage.total_passed:,} of {coverage.sessions:,} sessions ({coverage.share:.1%})"
    lines = [
        f"# Intents of {markdown(dataset)} by {markdown(about)}",
        "",
        f"{share} have intents; training has {training_sessions:,} sessions.",
    ]
    if rest[0]:
        lines.append(
            f"{rest[0]:,} further sessions were not asked: their intents are of "
            f"{markdown(rest[1])}, not of the language model, and count only in the pool below."
        )
    used = sorted((i for i in pool if pool[i]), key=lambda i: -pool[i])
    lines.append(f"Pool: {len(pool):,} intents, {len(used):,} of them with sessions.")
    if used:
        shown = "; ".join(f"{markdown(i)} ({pool[i]:,})" for i in used[:10])
        lines.append(f"Most often: {shown}.")
    if coverage.is_validated:
        lines += ["", coverage.table()]
    lines += ["", coverage.verdict()]
    for title, counts in (("Attempts ended", coverage.ends), ("Sessions failed", coverage.reasons)):
        if counts:
            shown = counted(counts)
            lines += ["", f"{title} with: {shown}."]
    for name, step in steps.items():
        if step.done or step.failed:
            failed = f", {step.failed:,} failed ({counted(step.reasons)})" if step.failed else ""
            lines += ["", f"{name.capitalize()}: {step.done:,} answered{failed}."]
    prompt, completion = map(
        sum, zip(coverage.tokens, *(step.tokens for step in steps.values()), strict=True)
    )
    if prompt:
        lines += ["", f"Tokens: {prompt:,} in prompts, {completion:,} in answers."]
    return "\n".join(lines) + "\n"
