"""`enrich --for=VELI4SBR`: from a session dataset to the files of intents beside it.

Item features (P1), the first pool (P2), then predict and correct (P3), for training sessions alone.
Every answer is kept as it comes; the files are written whole, at the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from recbole_intent import __version__
from recbole_intent.enrich import batch_files
from recbole_intent.enrich.askers import make_asker, make_sources
from recbole_intent.enrich.asking import Asker
from recbole_intent.enrich.cache import AnswerCache
from recbole_intent.enrich.conversation import Conversation, Manner, ask_until_usable
from recbole_intent.enrich.intent_answers import Intents, intents_schema
from recbole_intent.enrich.intent_files import (
    FEATURE,
    INTENT,
    MANIFEST,
    POOL,
    ItemFeatures,
    PoolIntent,
    SessionIntents,
    write_intent_files,
)
from recbole_intent.enrich.item_features import raw_features, refine_features
from recbole_intent.enrich.item_texts import ItemTexts
from recbole_intent.enrich.likelihood import LikelihoodJudge
from recbole_intent.enrich.metadata import frequent_categories, item_categories, metadata_intents
from recbole_intent.enrich.options import IntentOptions
from recbole_intent.enrich.pool import IntentPool
from recbole_intent.enrich.predict_correct import LoopOptions, Task, find_intents
from recbole_intent.enrich.prompts import prompt
from recbole_intent.enrich.report import Coverage, StepCounts, summary
from recbole_intent.enrich.training_sessions import (
    TrainingSessions,
    choose,
    draw_candidates,
    read_training_sessions,
)
from recbole_intent.errors import UserError
from recbole_intent.files import file_sha256, folder_lock, write_text

_LOGGER = logging.getLogger("recbole_intent")
# Options that do not change what the files hold.
_NOT_IN_MANIFEST = {
    "concurrency": True,
    "runner": True,
    "workers": True,
    "min_coverage": True,
    "llm": {"base_url", "api_key_env"},
}
REPORT = ".intent.report.md"


@dataclass(frozen=True)
class Enriched:
    """What a run of `enrich` left.

    Attributes:
        folder: with the files.
        report: text of the report, which is a file there too.
        share: of the asked sessions that have intents, in [0, 1].
        asked, cached: requests that were answered now, and before.
    """

    folder: Path
    report: str
    share: float
    asked: int
    cached: int


def enrich(
    dataset: str,
    options: IntentOptions,
    data_path: str | Path = "dataset",
    output: str | Path | None = None,
    *,
    export_batch: Path | None = None,
    import_batch: Path | None = None,
) -> Enriched:
    """Find intents for training sessions, and write them beside the dataset.

    The same call again continues one that was cut off, without asking anything twice.

    Args:
        dataset: a session dataset (`prepare --sessions=…`).
        options: of the intents.
        data_path: parent folder of datasets.
        output: folder of the files and of the cache of answers; the dataset's own when None.
        export_batch: ask nothing; where answers are missing, write their requests to this file.
        import_batch: results of a batch to take in first.

    Raises:
        UserError: bad data or options, or no request can be answered; old files are as they were.
        BatchPending: requests were exported, and nothing can go on without their answers.
    """
    source = Path(data_path) / dataset
    folder = Path(output) if output is not None else source
    work = _Work(dataset, source, options)
    if (export_batch or import_batch) and (not work.is_llm or options.llm.source != "openai"):
        raise UserError("--export_batch, --import_batch: go with --llm.source=openai")
    with folder_lock(folder):
        for suffix in (INTENT, POOL, FEATURE, MANIFEST, REPORT):
            for half_written in folder.glob(f".{dataset}{suffix}.*.tmp"):  # by one that was killed
                half_written.unlink()
        with ExitStack() as stack:
            if work.is_llm:
                path = folder / f"{dataset}.answers.sqlite"
                work.open(path, export_batch, import_batch, stack)
            work.write(folder)
            report = work.report()
            write_text(folder / f"{dataset}{REPORT}", report)
            asked = sum(asker.progress.asked for asker in work.askers)
            cached = sum(asker.progress.cached for asker in work.askers)
    return Enriched(folder, report, work.coverage.share, asked, cached)


class _Work:
    """One run: what was read, what is asked with, and the counts so far."""

    def __init__(self, dataset: str, source: Path, options: IntentOptions) -> None:
        self.dataset, self.source, self.options = dataset, source, options
        self.sessions = read_training_sessions(source, dataset)
        self.texts = ItemTexts(source / f"{dataset}.item", self.sessions.item_ids)
        self.chosen = choose(self.sessions, options.sample, options.limit, options.seed)
        self.domain = options.domain or dataset.replace("-", " ").replace("_", " ")
        self.is_llm = options.intents == "llm"
        is_validated = self.is_llm and options.predict_and_correct
        attempts = options.attempts if is_validated or self.is_llm else 1
        self.coverage = Coverage(options.negatives, attempts, is_validated)
        self.feature_counts, self.pool_counts = StepCounts(), StepCounts()
        self.askers: list[Asker] = []
        self.model = ""
        self.pool = IntentPool()
        self.column = ""
        if is_validated:
            _check_catalogue(self.sessions, self.chosen, options.negatives)
        self.inputs = {
            f"{dataset}{suffix}": file_sha256(source / f"{dataset}{suffix}")
            for suffix in (".inter", ".split", ".item")
        }

    def open(
        self, cache: Path, export_batch: Path | None, import_batch: Path | None, stack: ExitStack
    ) -> None:
        """Make what asks; it is closed with the stack."""
        pairs, self.model = make_sources(self.options)  # a mistake leaves no cache behind
        answers = stack.enter_context(AnswerCache(cache))
        if import_batch:
            taken, failed = batch_files.import_batch(import_batch, answers)
            _LOGGER.info("%s: %d answers, %d failed requests", import_batch, taken, failed)
        for make, source in pairs:
            asker = make_asker(self.options, make, source, answers, export_batch)
            stack.callback(asker.close)
            self.askers.append(asker)

    def write(self, folder: Path) -> None:
        """Find everything and write the four files."""
        features: dict[int, tuple[str, ...]] = {}
        write_intent_files(
            folder,
            self.dataset,
            intents=self._with_llm(features) if self.is_llm else self._with_metadata(features),
            pool=(PoolIntent(*pair) for pair in _lazily(self.pool.counts)),
            features=(
                ItemFeatures(str(self.sessions.item_ids[code]), found)
                for code, found in _lazily(lambda: features)
            ),
            manifest=self._manifest,
        )

    def _with_metadata(self, features: dict[int, tuple[str, ...]]) -> Iterator[SessionIntents]:
        self.column, names = item_categories(self.texts)
        features.update(enumerate(names))
        most = self.options.intents_per_session
        for line in metadata_intents(self.sessions, self.chosen, names, self.pool, most):
            ends = () if line.passed else ("no item with a category",)
            self.coverage.add(ends, line.passed, (0, 0))
            yield line

    def _with_llm(self, features: dict[int, tuple[str, ...]]) -> Iterator[SessionIntents]:
        options, llm = self.options, self.options.llm
        manner = Manner(llm.temperature, llm.max_tokens, options.seed)
        self._begin_pool(manner)
        for code, found in self._features(manner):
            features[code] = found
        is_embedded = llm.source == "embedded"
        loop = LoopOptions(
            manner=manner,
            domain=self.domain,
            attempts=options.attempts,
            most=options.intents_per_session,
            pool_shown=options.pool_shown,
            window=options.window,
            name_candidates=is_embedded if llm.name_candidates is None else llm.name_candidates,
            new_intents=options.new_intents,
            reason=not is_embedded if llm.reason is None else llm.reason,
            min_margin=options.min_margin,
        )
        is_likelihood = options.validate_by == "likelihood"
        judge = LikelihoodJudge(self.askers[1], self.domain) if is_likelihood else None
        found = find_intents(
            self._tasks(features),
            self.pool,
            self.askers[0],
            loop,
            judge,
            accepts_all=not options.predict_and_correct,
        )
        with _bar(self.chosen, "sessions") as bar:
            for line, outcome in found:
                self.coverage.add(outcome.ends, outcome.passed, outcome.tokens)
                bar.set_postfix_str(self._so_far(), refresh=False)
                bar.update()
                yield line

    def _so_far(self) -> str:
        tokens = sum(a.progress.prompt_tokens + a.progress.completion_tokens for a in self.askers)
        return f"{self.coverage.share:.0%} pass, {len(self.pool)} intents, {tokens:,} tokens"

    def _begin_pool(self, manner: Manner) -> None:
        most = self.options.pool_size
        if self.options.first_pool == "metadata":
            self.column, names = item_categories(self.texts)
            self.pool.enter(frequent_categories(names, most))
            return
        schema = intents_schema(most)
        talk = Conversation(prompt("intent_pool"), schema, manner, domain=self.domain, most=most)
        (told,) = ask_until_usable(self.askers[0], [talk], Intents, self.options.attempts)
        self.pool_counts.add(told.value is not None, told.problem, told.tokens)
        # Without an answer the pool begins empty, and grows by what sessions bring.
        self.pool.enter(told.value.intents[:most] if told.value else ())

    def _features(self, manner: Manner) -> Iterator[tuple[int, tuple[str, ...]]]:
        codes = np.flatnonzero(self._is_shown()).tolist()
        if not self.options.refine_features:
            yield from ((code, raw_features(self.texts, code)) for code in codes)
            return
        found = refine_features(
            self.askers[0],
            self.texts,
            codes,
            manner,
            domain=self.domain,
            most=self.options.features_shown,
            attempts=self.options.attempts,
            counts=self.feature_counts,
        )
        yield from _bar(codes, "items", found)

    def _is_shown(self) -> np.ndarray:
        """(V,) items that some prompt of a session shows."""
        is_shown = np.zeros(len(self.sessions.item_ids), dtype=bool)
        for index in self.chosen:
            is_shown[self._history(index)] = True
            if self.coverage.is_validated:
                is_shown[self._candidates(index)] = True
        return is_shown

    def _history(self, index: int) -> np.ndarray:
        return self.sessions.of(index)[:-1][-self.options.session_shown :]

    def _candidates(self, index: int) -> np.ndarray:
        items, session = self.sessions.of(index), str(self.sessions.ids[index])
        n_items, options = len(self.sessions.item_ids), self.options
        return draw_candidates(session, items, n_items, options.negatives, options.seed)

    def _tasks(self, features: dict[int, tuple[str, ...]]) -> Iterator[Task]:
        ids, most = self.sessions.item_ids, self.options.features_shown
        for index in self.chosen:
            shown = self._candidates(index).tolist() if self.coverage.is_validated else []
            yield Task(
                session=str(self.sessions.ids[index]),
                history=tuple(
                    "; ".join(features[code][:most]) for code in self._history(index).tolist()
                ),
                target=str(ids[self.sessions.of(index)[-1]]),
                candidates={str(ids[code]): "; ".join(features[code][:most]) for code in shown},
                titles=tuple(self.texts.title(code) for code in shown),
            )

    def _prompts(self) -> list[str]:
        names = ["malformed"]
        if self.options.first_pool == "llm":
            names.append("intent_pool")
        if self.options.refine_features:
            names.append("item_features")
        if self.options.validate_by == "likelihood" and self.coverage.is_validated:
            names += ["infer_intents", "score_item", "score_item_blind", "vague", "wrong_item"]
        elif self.coverage.is_validated:
            names += ["predict_and_correct", "wrong_item"]
        else:
            names.append("infer_intents")
        return sorted(names)

    def _manifest(self) -> dict[str, Any]:
        source = {"source": "metadata", "column": self.column}
        if self.is_llm:
            source = {"source": self.options.llm.source, "model": self.model}
            if self.options.first_pool == "metadata":
                source["first_pool_column"] = self.column
        return {
            "for": "VELI4SBR",
            "dataset": self.dataset,
            "intents": self.options.intents,
            **source,
            "prompts": {n: prompt(n).version for n in self._prompts()} if self.is_llm else {},
            "parameters": self.options.model_dump(
                mode="json", by_alias=True, exclude=_NOT_IN_MANIFEST
            ),
            "domain": self.domain,
            "inputs": self.inputs,
            "counts": {
                "training_sessions": len(self.sessions),
                "pool": len(self.pool),
                **self.coverage.as_dict(),
                "item_features": self.feature_counts.as_dict(),
                "first_pool": self.pool_counts.as_dict(),
            },
            "version": __version__,
        }

    def report(self) -> str:
        """The report's text."""
        about = f"metadata ({self.column} of the items; no language model)"
        if self.is_llm:
            about = f"{self.model} ({self.options.llm.source})"
            if self.options.first_pool == "metadata":
                about += f", first pool from metadata ({self.column})"
        return summary(
            self.dataset,
            about,
            len(self.sessions),
            self.coverage,
            self.pool.counts(),
            {"item features": self.feature_counts, "first pool": self.pool_counts},
        )


def _lazily(make: Callable[[], dict]) -> Iterator[tuple]:
    """The pairs that there are when the first one is asked for."""
    yield from make().items()


def _bar(values: Sequence[Any], what: str, rest: Iterator | None = None) -> tqdm:
    """A bar with rate and estimate; on a terminal alone."""
    unit = f" {what}"
    return tqdm(rest, desc=f"intents: {what}", total=len(values), unit=unit, disable=None, delay=2)


def _check_catalogue(sessions: TrainingSessions, chosen: np.ndarray, negatives: int) -> None:
    n_items = len(sessions.item_ids)
    for index in chosen:
        distinct = len(np.unique(sessions.of(index)))
        if distinct + negatives > n_items:
            raise UserError(
                f"negatives: {negatives}: session {str(sessions.ids[index])!r} has {distinct} of "
                f"the {n_items} items of training; give at most --negatives={n_items - distinct}"
            )
