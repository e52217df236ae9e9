"""Pipeline of `enrich --for=VELI4SBR`: writes intent files next to a session dataset.

The steps are item features (P1), the initial pool (P2), and predict and correct (P3), for training
sessions only. Every answer is stored on arrival; the files are written atomically at the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.data.formats.intent_files import (
    FEATURE,
    INTENT,
    MANIFEST,
    POOL,
    VECTORS,
    ItemFeatures,
    PoolIntent,
    SessionIntents,
    intent_path,
    write_intent_files,
)
from recbole_intent.data.formats.item_categories import item_categories
from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.data.formats.text_vectors import vector_path
from recbole_intent.data.loading.training_interactions import TrainingHistories
from recbole_intent.enrich.conversation import Conversation, Manner, ask_until_usable
from recbole_intent.enrich.intents.answers import Intents, intents_schema
from recbole_intent.enrich.intents.likelihood import LikelihoodJudge
from recbole_intent.enrich.intents.metadata import frequent_categories, metadata_intents
from recbole_intent.enrich.intents.pool import IntentPool
from recbole_intent.enrich.intents.predict_correct import LoopOptions, Task, find_intents
from recbole_intent.enrich.item_features import raw_features, refine_features
from recbole_intent.enrich.options import IntentOptions
from recbole_intent.enrich.profiles.plain_texts import PlainTexts
from recbole_intent.enrich.prompts import prompt
from recbole_intent.enrich.report import Coverage, StepCounts, summary
from recbole_intent.enrich.samples import choose, draw_candidates
from recbole_intent.enrich.training_data import (
    TrainingData,
    read_training_data,
    refuse_other_split,
)
from recbole_intent.enrich.vectors.encoding import encode_texts
from recbole_intent.enrich.vectors.text_encoder import TextEncoder
from recbole_intent.enrich.workplace import (
    ANSWERS,
    NOT_IN_MANIFEST,
    Batches,
    Enriched,
    bar,
    count_requests,
    open_askers,
    own_folder,
)
from recbole_intent.llm.asking import Asker
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import write_text
from recbole_intent.utils.version import __version__

_LOGGER = logging.getLogger("recbole_intent")
_NOT_IN_MANIFEST = NOT_IN_MANIFEST | {"encoder": True}  # recorded in the vector file
_CHUNK = 512  # texts per save of their vectors
REPORT = ".intent.report.md"


def enrich(
    dataset: str,
    options: IntentOptions,
    data_path: str | Path = "dataset",
    output: str | Path | None = None,
    *,
    split: Mapping[str, Any] | None = None,
    cache: str | Path | None = None,
    export_batch: Path | None = None,
    import_batch: Path | None = None,
) -> Enriched:
    """Find intents of training sessions and write them next to the dataset.

    Repeating the call resumes an interrupted one without sending any request twice.

    Args:
        dataset: a session dataset (`prepare --sessions=…`), or one with user histories.
        options: options of the intents.
        data_path: parent folder of datasets.
        output: folder of the files; None: the folder of the dataset or of its split.
        split: values of the run keys that define the training split, such as `eval_args`.
        cache: file of all answers so far, shared by all outputs; None: next to the dataset.
        export_batch: send nothing; write requests with missing answers to this file.
        import_batch: batch results to import first.

    Raises:
        UserError: invalid data or options, or no request can be answered; old files are kept.
        BatchPending: requests were exported and must be answered first.
    """
    data = read_training_data(options.purpose, dataset, data_path, split)
    folder = Path(output) if output is not None else data.folder
    work = _Work(dataset, data, options)
    encoder = TextEncoder(options.encoder) if options.encoder else None
    batches = Batches(export_batch, import_batch)
    batches.check(options)
    suffixes = (INTENT, POOL, FEATURE, MANIFEST, REPORT)
    refuse_other_split(folder / f"{dataset}{MANIFEST}", data.split)
    with own_folder(folder, dataset, suffixes), ExitStack() as stack:
        if work.is_llm:
            answers = Path(cache or data.source / f"{dataset}{ANSWERS}")
            work.askers, work.model = open_askers(options, answers, batches, stack)
        work.write(folder)
        report = work.report()
        write_text(folder / f"{dataset}{REPORT}", report)
        if encoder:
            work.encode(encoder, folder)
        asked, cached = count_requests(work.askers)
    return Enriched(folder, report, work.coverage.share, asked, cached)


class _Work:
    """State of one run: data, askers and counts."""

    def __init__(self, dataset: str, data: TrainingData, options: IntentOptions) -> None:
        self.dataset, self.data, self.options = dataset, data, options
        # The last item is predicted from the items before it.
        self.sessions = data.histories.at_least(2)
        self.texts = ItemTexts(data.source / f"{dataset}.item", self.sessions.item_ids.tolist())
        self.chosen = choose(self.sessions, options.sample, options.limit, options.seed)
        self.domain = options.domain or dataset.replace("-", " ").replace("_", " ")
        self.is_llm = options.is_llm
        is_validated = self.is_llm and options.predict_and_correct
        attempts = options.attempts if self.is_llm else 1
        self.coverage = Coverage(options.negatives, attempts, is_validated)
        self.feature_counts, self.pool_counts = StepCounts(), StepCounts()
        self.askers: list[Asker] = []
        self.model = ""
        self.pool = IntentPool()
        self.column = ""
        self.names: list[tuple[str, ...]] = []  # categories of each item, if needed
        self.n_rest = 0  # sessions not sent to the model, with metadata intents
        if not self.is_llm and options.rest != "none":
            raise UserError("rest: metadata goes with intents: llm")
        if not self.is_llm or "metadata" in (options.first_pool, options.rest):
            self.column, self.names = item_categories(self.texts)
        if is_validated:
            _check_catalogue(self.sessions, self.chosen, options.negatives)

    def write(self, folder: Path) -> None:
        """Run all steps and write the four files."""
        features: dict[int, tuple[str, ...]] = {}
        write_intent_files(
            folder,
            self.dataset,
            intents=self._with_llm(features) if self.is_llm else self._with_metadata(features),
            pool=(PoolIntent(*pair) for pair in _lazily(self.pool.counts)),
            features=(
                ItemFeatures(str(self.sessions.item_ids[code]), texts)
                for code, texts in _lazily(lambda: features)
            ),
            manifest=self._manifest,
        )

    def _with_metadata(self, features: dict[int, tuple[str, ...]]) -> Iterator[SessionIntents]:
        features.update(enumerate(self.names))
        for line in self._by_metadata(self.chosen):
            ends = () if line.passed else ("no item with a category",)
            self.coverage.add(ends, line.passed, (0, 0))
            yield line

    def _by_metadata(self, chosen: np.ndarray) -> Iterator[SessionIntents]:
        most = self.options.intents_per_session
        return metadata_intents(self.sessions, chosen, self.names, self.pool, most)

    def _with_llm(self, features: dict[int, tuple[str, ...]]) -> Iterator[SessionIntents]:
        options, llm = self.options, self.options.llm
        manner = Manner(llm.temperature, llm.max_tokens, options.seed)
        self._begin_pool(manner)
        for code, texts in self._features(manner):
            features[code] = texts
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
            reason=llm.asks_reason,
            min_margin=options.min_margin,
        )
        judge = None
        if options.needs_likelihood:
            judge = LikelihoodJudge(self.askers[1], self.domain)
        lines = find_intents(
            self._tasks(features),
            self.pool,
            self.askers[0],
            loop,
            judge,
            accepts_all=not options.predict_and_correct,
        )
        with bar("intents", "sessions", len(self.chosen)) as shown:
            for line, outcome in lines:
                self.coverage.add(outcome.ends, outcome.passed, outcome.tokens)
                shown.set_postfix_str(self._so_far(), refresh=False)
                shown.update()
                yield line
        if options.rest == "metadata":
            unasked = np.setdiff1d(np.arange(len(self.sessions)), self.chosen)
            for line in self._by_metadata(unasked):
                self.n_rest += line.passed
                yield line

    def _so_far(self) -> str:
        tokens = sum(a.progress.prompt_tokens + a.progress.completion_tokens for a in self.askers)
        return f"{self.coverage.share:.0%} pass, {len(self.pool)} intents, {tokens:,} tokens"

    def _begin_pool(self, manner: Manner) -> None:
        most = self.options.pool_size
        if self.options.first_pool == "metadata":
            self.pool.enter(frequent_categories(self.names, most))
            return
        schema = intents_schema(most)
        talk = Conversation(prompt("intent_pool"), schema, manner, domain=self.domain, most=most)
        (result,) = ask_until_usable(self.askers[0], [talk], Intents, self.options.attempts)
        self.pool_counts.add(result.value is not None, result.problem, result.tokens)
        # Without an answer the pool starts empty and grows with the sessions' intents.
        self.pool.enter(result.value.intents[:most] if result.value else ())

    def _features(self, manner: Manner) -> Iterator[tuple[int, tuple[str, ...]]]:
        codes = np.flatnonzero(self._is_shown()).tolist()
        if not self.options.refine_features:
            yield from ((code, raw_features(self.texts, code)) for code in codes)
            return
        refined = refine_features(
            self.askers[0],
            self.texts,
            codes,
            manner,
            domain=self.domain,
            most=self.options.features_shown,
            attempts=self.options.attempts,
            counts=self.feature_counts,
        )
        yield from bar("intents", "items", len(codes), refined)

    def _is_shown(self) -> np.ndarray:
        """(V,) mask of the items that appear in a session's prompt."""
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
        source: dict[str, Any] = {"source": "metadata", "column": self.column}
        if self.is_llm:
            source = {"source": self.options.llm.source, "model": self.model}
            if self.options.first_pool == "metadata":
                source["first_pool_column"] = self.column
            if self.options.rest == "metadata":
                rest = {"source": "metadata", "column": self.column, "sessions": self.n_rest}
                source["rest"] = rest
        return {
            "for": "VELI4SBR",
            "dataset": self.dataset,
            "intents": self.options.intents,
            **source,
            "prompts": {n: prompt(n).version for n in self._prompts()} if self.is_llm else {},
            "parameters": self.options.model_dump(
                mode="json",
                by_alias=True,
                exclude=_NOT_IN_MANIFEST,
            ),
            "domain": self.domain,
            "inputs": self.data.inputs,
            "split": self.data.split.plain(),
            "counts": {
                "training_sessions": len(self.sessions),
                "pool": len(self.pool),
                **self.coverage.as_dict(),
                "item_features": self.feature_counts.as_dict(),
                "first_pool": self.pool_counts.as_dict(),
            },
            "version": __version__,
        }

    def encode(self, encoder: TextEncoder, folder: Path) -> None:
        """Write the vectors of the items' texts and of the pool's intents, unless they exist."""
        items = dict(zip(map(str, self.texts.ids), PlainTexts(self.texts).item, strict=True))
        intents = {intent: intent for intent in self.pool.counts()}
        of_pool = "llm" if self.is_llm else "metadata"
        for path, semantics, texts in (
            (vector_path(folder, self.dataset, "item", "metadata", "fused"), "metadata", items),
            (intent_path(folder, self.dataset, VECTORS), of_pool, intents),
        ):
            if texts:
                is_new = encode_texts(
                    texts, encoder, path, semantics=semantics, chunk=_CHUNK, split=self.data.split
                )
                _LOGGER.info("%s: %d texts%s", path, len(texts), "" if is_new else ", as before")

    def report(self) -> str:
        """The text of the report."""
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
            rest=(self.n_rest, f"metadata ({self.column} of the items)"),
        )


def _lazily(make: Callable[[], dict]) -> Iterator[tuple]:
    """Iterate over the pairs of a mapping that is built when iteration starts."""
    yield from make().items()


def _check_catalogue(sessions: TrainingHistories, chosen: np.ndarray, negatives: int) -> None:
    n_items = len(sessions.item_ids)
    for index in chosen:
        distinct = len(np.unique(sessions.of(index)))
        if distinct + negatives > n_items:
            raise UserError(
                f"negatives: {negatives}: session {str(sessions.ids[index])!r} has {distinct} of "
                f"the {n_items} items of training; give at most --negatives={n_items - distinct}"
            )
