"""Common setup of all `enrich` runs: folder, askers, results and progress bar."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from recbole_intent.enrich.askers import make_asker, make_sources
from recbole_intent.enrich.options import EnrichOptions
from recbole_intent.llm import batch_files
from recbole_intent.llm.asking import Asker
from recbole_intent.llm.cache import AnswerCache
from recbole_intent.utils import progress
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import folder_lock, remove_dead_temporaries

_LOGGER = logging.getLogger("recbole_intent")
# Suffix of the cache next to a dataset; all outputs share it, as ablations share most requests.
ANSWERS = ".answers.sqlite"
# Options that do not change the contents of the files.
NOT_IN_MANIFEST: dict[str, Any] = {
    "concurrency": True,
    "runner": True,
    "workers": True,
    "min_coverage": True,
    "llm": {"base_url", "api_key_env"},
}


@dataclass(frozen=True)
class Enriched:
    """The result of a run of `enrich`.

    Attributes:
        folder: folder of the files.
        report: text of the report, which is also a file in the folder.
        share: share of the things asked about with a usable answer, in [0, 1].
        asked, cached: numbers of requests answered in this run and from the cache.
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
        exported: send nothing; write requests with missing answers to this file.
        imported: results to import first.
    """

    exported: Path | None = None
    imported: Path | None = None

    def check(self, options: EnrichOptions) -> None:
        """Raise UserError if the options do not use an endpoint."""
        is_endpoint = options.is_llm and options.llm.source == "openai"
        if (self.exported or self.imported) and not is_endpoint:
            raise UserError("--export_batch, --import_batch: go with --llm.source=openai")


@contextmanager
def own_folder(folder: Path, dataset: str, suffixes: Sequence[str]) -> Iterator[None]:
    """Lock the folder of a dataset's files and remove partial files of killed processes."""
    with folder_lock(folder):
        remove_dead_temporaries(folder, {f"{dataset}{suffix}" for suffix in suffixes}.__contains__)
        yield


def open_askers(
    options: EnrichOptions, cache: Path, batches: Batches, stack: ExitStack
) -> tuple[list[Asker], str]:
    """Create the askers, which are closed with the stack.

    Args:
        options: options of a run with a language model.
        cache: file of the answers.
        batches: files to import answers from or to write requests to.
        stack: closed at the end of the run.

    Returns:
        A list with the asker of texts and, if needed, the asker of likelihoods; and the model's
        name.

    Raises:
        UserError: incompatible options or unusable files.
    """
    pairs, model = make_sources(options)  # first, so that an error leaves no cache behind
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
    """Numbers of requests answered in this run and from the cache."""
    asked = sum(asker.progress.asked for asker in askers)
    return asked, sum(asker.progress.cached for asker in askers)


def bar(about: str, what: str, total: int, values: Iterator | None = None) -> tqdm:
    """A progress bar with rate and estimated time, shown only on a terminal."""
    about = f"{about}: {what}"
    return progress.bar(values, desc=about, total=total, unit=f" {what}", delay=2)
