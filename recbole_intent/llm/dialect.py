"""Dialects of chat requests: the options that an endpoint supports, probed once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from recbole_intent.llm.sources import ChatRequest

# Strictest first: OpenAI, vLLM, Ollama and xllamacpp support the first, llama-cpp-python's server
# the second; with the last, only the prompt describes the format.
SCHEMA_STYLES = ("json_schema", "json_object", "none")


@dataclass(frozen=True)
class Dialect:
    """The form of requests to one endpoint.

    Attributes:
        style: one of `SCHEMA_STYLES`.
        limit: name of the option for the maximum answer length.
        dropped: options that the endpoint rejects, such as `temperature`.
    """

    style: str = SCHEMA_STYLES[0]
    limit: str = "max_tokens"
    dropped: frozenset[str] = field(default=frozenset())

    def body(self, model: str, request: ChatRequest) -> dict[str, Any]:
        """The JSON body of a chat completion request."""
        options: dict[str, Any] = {
            self.limit: request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "response_format": self._response_format(request.schema),
        }
        body: dict[str, Any] = {"model": model, "messages": list(request.messages)}
        for name, value in options.items():
            if value is not None and name not in self.dropped:
                body[name] = value
        return body

    def _response_format(self, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is None or self.style == "none":
            return None
        if self.style == "json_object":
            return {"type": "json_object", "schema": schema}
        named: dict[str, Any] = {"name": "answer", "schema": schema}
        if schema.get("additionalProperties") is False:  # strict mode needs a closed schema
            named["strict"] = True
        return {"type": "json_schema", "json_schema": named}

    def without(self, option: str | None) -> Dialect | None:
        """The dialect for an endpoint that rejects this option; None if nothing can be dropped."""
        if option == "max_tokens" and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if option in ("temperature", "seed") and option not in self.dropped:
            return replace(self, dropped=self.dropped | {option})
        return None
