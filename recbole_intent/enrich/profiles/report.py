"""Report of `enrich --for=ISRF`: counts and a summary in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recbole_intent.enrich.report import StepCounts, counted
from recbole_intent.utils.printable import markdown


@dataclass
class ProfileCounts(StepCounts):
    """Counts of item or user profiles.

    Attributes:
        total: number of profiles, including metadata profiles of those not asked about.
    """

    total: int = 0

    @property
    def unasked(self) -> int:
        """Number of those outside the sample or without any text to ask about."""
        return self.total - self.done - self.failed

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {"total": self.total, "unasked": self.unasked, **super().as_dict()}

    def sentence(self) -> str:
        """The counts in words, with the reasons for missing model texts."""
        failed = f" ({counted(self.reasons)})" if self.reasons else ""
        return (
            f"{self.total:,}; {self.done:,} by the model, {self.failed:,} failed{failed} and "
            f"{self.unasked:,} not asked about, which both have texts of metadata"
        )


def share_answered(counts: Sequence[ProfileCounts]) -> float:
    """Share of requested profiles that the model gave, in [0, 1]; 1 if none was requested."""
    asked = sum(step.done + step.failed for step in counts)
    return sum(step.done for step in counts) / asked if asked else 1.0


def profile_summary(
    dataset: str, about: str, counts: dict[str, ProfileCounts], is_llm: bool, vectors: list[str]
) -> str:
    """Write the whole report as text.

    Args:
        dataset: name of the dataset.
        about: origin of the texts.
        counts: counts of items and users; empty if no texts were made.
        is_llm: whether a language model was used.
        vectors: one line per vector file.
    """
    lines = [f"# Texts of {markdown(dataset)} by {markdown(about)}", ""]
    for kind, step in counts.items():
        text = step.sentence() if is_llm else f"{step.total:,}, all by metadata"
        lines += [f"{kind.capitalize()}: {text}."]
    prompt = sum(step.tokens[0] for step in counts.values())
    if prompt:
        answered = sum(step.tokens[1] for step in counts.values())
        lines += ["", f"Tokens: {prompt:,} in prompts, {answered:,} in answers."]
    if vectors:
        lines += ["", "Vectors:", *(f"- {markdown(line)}" for line in vectors)]
    return "\n".join(lines) + "\n"
