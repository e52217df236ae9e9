"""Create sources of answers and askers from the options of `enrich`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from recbole_intent.enrich.options import EnrichOptions
from recbole_intent.llm.asking import Asker, LocalAsker
from recbole_intent.llm.batch_files import BatchExporter
from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.embedded import EmbeddedModel, EmbeddedScorer, EmbeddedSource
from recbole_intent.llm.openai_source import OpenAISource
from recbole_intent.llm.ray_asker import RayAsker
from recbole_intent.llm.sources import Source
from recbole_intent.utils.errors import UserError

MakeSource = Callable[[], Source]


def make_sources(options: EnrichOptions) -> tuple[list[tuple[MakeSource, Source]], str]:
    """Create the source of answers and, if needed, the source of likelihoods.

    Returns:
        A list of (factory, source) pairs, where the factory also works in another process; and
        the model's name.

    Raises:
        UserError: incompatible options or a missing package.
    """
    llm = options.llm
    if llm.source == "embedded":
        shared = EmbeddedModel(llm.dtype)
        makers: list[MakeSource] = [partial(EmbeddedSource, shared)]
        if options.needs_likelihood:
            makers.append(partial(EmbeddedScorer, shared))
        return [(make, make()) for make in makers], shared.name
    if options.needs_likelihood:
        raise UserError(
            "validate: likelihood needs llm.source: embedded; endpoints of the OpenAI protocol do "
            "not tell the likelihood of a given text"
        )
    if not llm.model:
        raise UserError(
            "--llm.model=… is missing: the model's name at the endpoint (or give "
            f"--llm.source=embedded, or {options.without_model})"
        )
    make = partial(OpenAISource, llm.model, llm.base_url, llm.api_key_env)
    return [(make, make())], llm.model


def make_asker(
    options: EnrichOptions,
    make: MakeSource,
    source: Source,
    cache: AnswerCache,
    export_batch: Path | None,
) -> Asker:
    """Create the asker that the options select; with `export_batch`, it only writes requests."""
    if export_batch:
        return BatchExporter(source, cache, export_batch)
    if options.runner == "ray":
        return RayAsker(source, make, cache, options.concurrency, options.workers)
    return LocalAsker(source, cache, options.concurrency)
