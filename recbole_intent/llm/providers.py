"""Providers of a language model by name, the values of `llm.source`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from recbole_intent.llm.embedded import EmbeddedModel, EmbeddedScorer, EmbeddedSource
from recbole_intent.llm.openai_source import OpenAISource
from recbole_intent.llm.sources import Source
from recbole_intent.utils.errors import UserError

MakeSource = Callable[[], Source]
# Options (`llm.*`) and whether likelihoods of given texts are needed -> makers of the source of
# answers and, if needed, of likelihoods. A maker works in another process, too.
Provider = Callable[[Any, bool], list[MakeSource]]


def _openai(llm: Any, needs_likelihood: bool) -> list[MakeSource]:
    if needs_likelihood:
        raise UserError(
            "validate: likelihood needs llm.source: embedded; endpoints of the OpenAI protocol do "
            "not tell the likelihood of a given text"
        )
    if not llm.model:
        raise UserError(
            "--llm.model=… is missing: the model's name at the endpoint (or give "
            "--llm.source=embedded, or --intents=metadata or --semantics=metadata)"
        )
    return [partial(OpenAISource, llm.model, llm.base_url, llm.api_key_env)]


def _embedded(llm: Any, needs_likelihood: bool) -> list[MakeSource]:
    shared = EmbeddedModel(llm.dtype)
    makers: list[MakeSource] = [partial(EmbeddedSource, shared)]
    if needs_likelihood:
        makers.append(partial(EmbeddedScorer, shared))
    return makers


PROVIDERS: dict[str, Provider] = {"openai": _openai, "embedded": _embedded}


def register_provider(name: str, provider: Provider) -> None:
    """Add a provider, or replace one, so that `llm.source` may name it."""
    PROVIDERS[name] = provider
