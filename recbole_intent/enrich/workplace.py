"""What every run of `enrich` needs around its work: its folder, what asks, what it tells."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from recbole_intent.enrich import batch_files
from recbole_intent.enrich.askers import make_asker, make_sources
from recbole_intent.enrich.asking import Asker
from recbole_intent.enrich.cache import AnswerCache
from recbole_intent.enrich.options import EnrichOptions
from recbole_intent.errors import UserError
from recbole_intent.files import folder_lock, remove_dead_temporaries

_LOGGER = logging.getLogger("recbole_intent")
# Suffix of the cache beside a dataset: one for all outputs, for ablations share most questions.
ANSWERS = ".answers.sqlite"
# Options that do not change what the files hold.
NOT_IN_MANIFEST: dict[str, Any] = {
    "concurrency": True,
    "runner": True,
    "workers": True,
    "min_coverage": True,
    "llm": {"base_url", "api_key_env"},
}


@dataclass(frozen=True)
class Enriched:
    """What a run of `enrich` left.

    Attributes:
        folder: with the files.
        report: text of the report, which is a file there too.
        share: of what was asked that has a usable answer, in [0, 1].
        asked, cached: requests that were answered now, and before.
    """

    folder: Path
    report: str
    share: float
    asked: int
    cached: int


@dataclass(frozen=True)
class Batches:
    """Files of a batch service.

    Attributes:
        exported: ask nothing; where answers are missing, write their requests to this file.
        imported: results to take in first.
    """

    exported: Path | None = None
    imported: Path | None = None

    def check(self, options: EnrichOptions) -> None:
        """Raises UserError where the options ask no endpoint."""
        is_endpoint = options.is_llm and options.llm.source == "openai"
        if (self.exported or self.imported) and not is_endpoint:
            raise UserError("--export_batch, --import_batch: go with --llm.source=openai")


@contextmanager
def own_folder(folder: Path, dataset: str, suffixes: Sequence[str]) -> Iterator[None]:
    """Own the folder of a dataset's files, without what a killed process left half-written."""
    with folder_lock(folder):
        remove_dead_temporaries(folder, {f"{dataset}{suffix}" for suffix in suffixes}.__contains__)
        yield


def open_askers(
    options: EnrichOptions, cache: Path, batches: Batches, stack: ExitStack
) -> tuple[list[Asker], str]:
    """Make what asks; it is closed with the stack.

    Args:
        options: of a run with a language model.
        cache: file of the answers.
        batches: files to take answers from, or to write requests to.
        stack: closed at the end of the run.

    Returns:
        The asker of texts and, where one is needed, that of likelihoods; and the model's name.

    Raises:
        UserError: options that do not go together, or files that cannot be used.
    """
    pairs, model = make_sources(options)  # a mistake leaves no cache behind
    answers = stack.enter_context(AnswerCache(cache))
    if batches.imported:
        taken, failed = batch_files.import_batch(batches.imported, answers)
        _LOGGER.info("%s: %d answers, %d failed requests", batches.imported, taken, failed)
    askers = []
    for make, source in pairs:
        asker = make_asker(options, make, source, answers, batches.exported)
        stack.callback(asker.close)
        askers.append(asker)
    return askers, model


def count_requests(askers: Sequence[Asker]) -> tuple[int, int]:
    """How many requests were answered now, and how many were before."""
    asked = sum(asker.progress.asked for asker in askers)
    return asked, sum(asker.progress.cached for asker in askers)


def bar(about: str, what: str, total: int, values: Iterator | None = None) -> tqdm:
    """A bar with rate and estimate; on a terminal alone."""
    return tqdm(
        values, desc=f"{about}: {what}", total=total, unit=f" {what}", disable=None, delay=2
    )
