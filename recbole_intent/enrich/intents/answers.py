"""Answers about intents: JSON schemas for requests and pydantic models for validation."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from recbole_intent.llm.schemas import StrictAnswer, closed_object


def _as_id(value: Any) -> Any:
    """Convert a number to text: models write ids that look like numbers as numbers."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else value


class Features(StrictAnswer):
    """Answer to `item_features`."""

    features: list[str] = Field(min_length=1)


class Intents(StrictAnswer):
    """Answer to `intent_pool` and `infer_intents`."""

    intents: list[str] = Field(min_length=1)


class Prediction(StrictAnswer):
    """Answer to `predict_and_correct`."""

    intents: list[str] = Field(min_length=1)
    next_item: Annotated[str, BeforeValidator(_as_id)]
    reason: str = ""


def features_schema(most: int) -> dict[str, Any]:
    """JSON schema of `Features`."""
    return closed_object(features=_strings(most))


def intents_schema(most: int, pool: Sequence[str] | None = None) -> dict[str, Any]:
    """JSON schema of `Intents`.

    Args:
        most: maximum number of intents in the answer.
        pool: the allowed intents; None allows any.
    """
    return closed_object(intents=_strings(most, pool))


def prediction_schema(
    most: int,
    candidates: Sequence[str] | None = None,
    pool: Sequence[str] | None = None,
    *,
    reason: bool = True,
) -> dict[str, Any]:
    """JSON schema of `Prediction`.

    Args:
        most: maximum number of intents per session.
        pool: the allowed intents; None allows any.
        candidates: the allowed ids; None leaves this to the later check, so that all sessions
            share one schema, which some endpoints compile slowly.
        reason: also ask for a brief reason.
    """
    item: dict[str, Any] = {"type": "string"}
    if candidates is not None:
        item["enum"] = list(candidates)
    properties = {"intents": _strings(most, pool), "next_item": item}
    if reason:
        properties["reason"] = {"type": "string"}
    return closed_object(**properties)


def _strings(most: int, choice: Sequence[str] | None = None) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    if choice is not None:
        text["enum"] = list(choice)
    return {"type": "array", "items": text, "minItems": 1, "maxItems": most}
