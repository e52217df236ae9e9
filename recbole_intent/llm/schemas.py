"""Common base of all answers: strict pydantic models and closed JSON schemas."""

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
