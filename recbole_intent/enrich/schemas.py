"""What all answers have in common: strict models to check with, closed JSON schemas to ask with."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class StrictAnswer(BaseModel):
    """An answer whose values have exactly the kinds that were asked for."""

    model_config = ConfigDict(strict=True)


def closed_object(**properties: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of an object with these properties, all of them and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def form_of(schema: dict[str, Any]) -> str:
    """A schema of `closed_object` in words for a prompt.

    In words, since small models copy an example instead of following it.
    """
    parts = [
        f'"{name}" ({"a list of texts" if part["type"] == "array" else "a text"})'
        for name, part in schema["properties"].items()
    ]
    return f"an object with {' and '.join(parts)}"
