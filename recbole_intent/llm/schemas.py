"""Common base of all answers: strict pydantic models and closed JSON schemas."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict


class StrictAnswer(BaseModel):
    """An answer whose values have exactly the requested types."""

    model_config = ConfigDict(strict=True)


def closed_object(**properties: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of an object with exactly these properties, all required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def form_of(schema: dict[str, Any]) -> str:
    """Describe a schema of `closed_object` in words, for a prompt.

    An example would not do, since small models copy it instead of following it.
    """
    parts = [
        f'"{name}" ({"a list of texts" if part["type"] == "array" else "a text"})'
        for name, part in schema["properties"].items()
    ]
    return f"an object with {' and '.join(parts)}"


def scores_schema(texts: Sequence[str]) -> dict[str, Any]:
    """Schema that asks a scoring source for each text's log-likelihood, as a list of numbers."""
    return {"type": "array", "items": {"type": "number"}, "prefixItems": _titles(texts)}


def texts_of(schema: dict[str, Any]) -> list[str]:
    """The texts in a schema made by `scores_schema`."""
    return [item["title"] for item in schema["prefixItems"]]


def _titles(texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"type": "number", "title": text} for text in texts]
