"""Answers about items and users: JSON schema for requests and pydantic model for validation."""

from typing import Annotated, Any

from pydantic import StringConstraints

from recbole_intent.llm.schemas import StrictAnswer, closed_object


class Description(StrictAnswer):
    """Answer to any of the questions about an item or a user."""

    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    reasoning: str = ""


def description_schema(*, reason: bool) -> dict[str, Any]:
    """JSON schema of `Description`.

    Args:
        reason: ask for the reasoning first, so that the description can follow from it.
    """
    text = {"type": "string"}
    if reason:
        return closed_object(reasoning=text, description=text)
    return closed_object(description=text)
