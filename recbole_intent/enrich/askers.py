"""Create sources of answers and askers from the options of `enrich`."""

from pathlib import Path

from recbole_intent.enrich.options import EnrichOptions
from recbole_intent.llm.asking import Asker, LocalAsker
from recbole_intent.llm.batch_files import BatchExporter, BodySource
from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.providers import PROVIDERS, MakeSource
from recbole_intent.llm.ray_asker import RayAsker
from recbole_intent.llm.sources import Source
from recbole_intent.utils.errors import UserError


def make_sources(options: EnrichOptions) -> tuple[list[tuple[MakeSource, Source]], str]:
    """Create the source of answers and, if needed, the source of likelihoods.

    Returns:
        A list of (factory, source) pairs, where the factory also works in another process; and
        the model's name.

    Raises:
        UserError: incompatible options or a missing package.
    """
    makers = PROVIDERS[options.llm.source](options.llm, options.needs_likelihood)
    pairs = [(make, make()) for make in makers]
    return pairs, pairs[0][1].model


def make_asker(
    options: EnrichOptions,
    make: MakeSource,
    source: Source,
    cache: AnswerCache,
    export_batch: Path | None,
) -> Asker:
    """Create the asker that the options select; with `export_batch`, it only writes requests."""
    if export_batch:
        if not isinstance(source, BodySource):
            raise UserError("--export_batch: goes with --llm.source=openai")
        return BatchExporter(source, cache, export_batch)
    if options.runner == "ray":
        return RayAsker(source, make, cache, options.concurrency, options.workers)
    return LocalAsker(source, cache, options.concurrency)
