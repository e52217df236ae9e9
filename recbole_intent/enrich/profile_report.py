"""What `enrich --for=ISRF` did, in counts and plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recbole_intent.enrich.report import StepCounts, counted
from recbole_intent.printable import markdown


@dataclass
class ProfileCounts(StepCounts):
    """Of items, or of users.

    Attributes:
        total: all that have a profile: those that were not asked about have one of metadata.
    """

    total: int = 0

    @property
    def unasked(self) -> int:
        """Not in the sample, or without any text to ask about."""
        return self.total - self.done - self.failed

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {"total": self.total, "unasked": self.unasked, **super().as_dict()}

    def sentence(self) -> str:
        """How many of which kind, and why some have no text of the model."""
        failed = f" ({counted(self.reasons)})" if self.reasons else ""
        return (
            f"{self.total:,}; {self.done:,} by the model, {self.failed:,} failed{failed} and "
            f"{self.unasked:,} not asked about, which both have texts of metadata"
        )


def share_answered(counts: Sequence[ProfileCounts]) -> float:
    """Profiles of the model among those that it was asked for, in [0, 1]; 1 where none was."""
    asked = sum(step.done + step.failed for step in counts)
    return sum(step.done for step in counts) / asked if asked else 1.0


def profile_summary(
    dataset: str, about: str, counts: dict[str, ProfileCounts], is_llm: bool, vectors: list[str]
) -> str:
    """The whole report as text.

    Args:
        dataset: its name.
        about: where the texts are from.
        counts: of items and of users; empty where no texts were made.
        is_llm: a language model was asked.
        vectors: a line for each file of vectors.
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
