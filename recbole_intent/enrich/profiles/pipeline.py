"""Pipeline of `enrich --for=ISRF`: writes texts of items and users and their vectors.

Items are processed first, then users, based on a sample of their training items. Every answer is
stored on arrival; the text files are written atomically at the end, followed by the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.data.formats.profile_files import (
    LLM,
    MANIFEST,
    METADATA,
    PROFILES,
    REPORT,
    Profile,
    plain_profile,
    profile_path,
)
from recbole_intent.data.formats.record_files import write_records
from recbole_intent.data.formats.text_vectors import Kind
from recbole_intent.enrich.conversation import Manner
from recbole_intent.enrich.options import ProfileOptions
from recbole_intent.enrich.profiles.plain_texts import PlainTexts
from recbole_intent.enrich.profiles.profiles import QUESTIONS, AskOptions, ask_profiles
from recbole_intent.enrich.profiles.report import ProfileCounts, profile_summary, share_answered
from recbole_intent.enrich.prompts import prompt
from recbole_intent.enrich.samples import choose, sample_places
from recbole_intent.enrich.training_data import (
    TrainingData,
    read_training_data,
    refuse_other_split,
)
from recbole_intent.enrich.vectors.profiles import check_texts, encode_profiles
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

# Recorded in the vector files.
_OF_VECTORS = ("texts", "encoder", "encoder_dtype", "encoder_batch", "encoder_chunk")
_NOT_IN_MANIFEST = NOT_IN_MANIFEST | dict.fromkeys(("steps", *_OF_VECTORS), True)


def enrich_profiles(
    dataset: str,
    options: ProfileOptions,
    data_path: str | Path = "dataset",
    output: str | Path | None = None,
    *,
    split: Mapping[str, Any] | None = None,
    cache: str | Path | None = None,
    export_batch: Path | None = None,
    import_batch: Path | None = None,
    reader: str = "ISRF",
) -> Enriched:
    """Write texts of all items and users of a dataset, and their vectors.

    Repeating the call resumes an interrupted one without repeating requests or encodings.

    Args:
        dataset: a dataset of user histories, of which only the training split is read.
        options: options of the texts and vectors.
        data_path: parent folder of datasets.
        output: folder of the files; None: the folder of the dataset or of its split.
        split: values of the run keys that define the training split, such as `eval_args`.
        cache: file of all answers so far, shared by all outputs; None: next to the dataset.
        export_batch: send nothing; write requests with missing answers to this file.
        import_batch: batch results to import first.
        reader: the model that reads them, whose runs accept the dataset: ISRF's refuse sessions.

    Raises:
        UserError: invalid data or options, or no request can be answered; old files are kept.
        BatchPending: requests were exported and must be answered first.
    """
    batches = Batches(export_batch, import_batch)
    batches.check(options)
    if options.semantics == METADATA and set(options.texts) != {"fused"}:
        raise UserError("texts: metadata has one text of each item and user; give --texts=[fused]")
    # Report a missing package before sending any request.
    encoder = _encoder(options) if options.steps != "texts" else None
    data = read_training_data(reader, dataset, data_path, split)
    folder = Path(output) if output is not None else data.folder
    refuse_other_split(folder / f"{dataset}{MANIFEST}", data.split)
    suffixes = (*PROFILES.values(), MANIFEST, REPORT)
    with own_folder(folder, dataset, suffixes), ExitStack() as stack:
        if options.steps == "vectors":
            about = check_texts(folder, dataset, options, data.inputs, data.split)
            counts, askers = {}, []
        else:
            work = _Work(dataset, data, options)
            if options.is_llm:
                answers = Path(cache or data.source / f"{dataset}{ANSWERS}")
                work.askers, work.model = open_askers(options, answers, batches, stack)
            work.write(folder)
            about, counts, askers = work.about, work.counts, work.askers
        vectors = encode_profiles(folder, dataset, options, encoder, data.split) if encoder else []
        report = profile_summary(
            dataset, about, {f"{k}s": n for k, n in counts.items()}, options.is_llm, vectors
        )
        if counts:
            write_text(folder / f"{dataset}{REPORT}", report)
        asked, cached = count_requests(askers)
    return Enriched(folder, report, share_answered(list(counts.values())), asked, cached)


def _encoder(options: ProfileOptions) -> TextEncoder:
    return TextEncoder(options.encoder, options.encoder_batch, options.encoder_dtype)


class _Work:
    """State of one run: data, askers and counts."""

    def __init__(self, dataset: str, data: TrainingData, options: ProfileOptions) -> None:
        self.dataset, self.options, self.data = dataset, options, data
        self.histories = data.histories
        # All items of the file, whatever their interactions, so that the selection leaks nothing.
        catalogue = ItemTexts(data.source / f"{dataset}.item")
        known = set(catalogue.ids)
        others = [item for item in data.catalogue if item not in known]
        self.texts = PlainTexts(catalogue, others)
        code_of = {item: code for code, item in enumerate(self.texts.ids)}
        # Maps item codes of the .inter file to codes of the catalogue.
        codes = [code_of[str(item)] for item in self.histories.item_ids]
        self.codes = np.array(codes, dtype=np.int64)
        self.counts = {
            "item": ProfileCounts(total=len(self.texts.ids)),
            "user": ProfileCounts(total=len(self.histories)),
        }
        self.askers: list[Asker] = []
        self.model = ""
        domain = options.domain or dataset.replace("-", " ").replace("_", " ")
        self.asking = AskOptions(
            manner=Manner(options.llm.temperature, options.llm.max_tokens, options.seed),
            domain=domain,
            attempts=options.attempts,
            reason=options.llm.asks_reason,
        )

    @property
    def about(self) -> str:
        """The origin of the texts."""
        if self.options.is_llm:
            return f"{self.model} ({self.options.llm.source})"
        return "metadata (the .item file; no language model)"

    def write(self, folder: Path) -> None:
        """Make all texts and write the three files."""
        items: list[Profile] = []
        write_records(
            {
                profile_path(folder, self.dataset, "item"): self._items(items),
                profile_path(folder, self.dataset, "user"): self._users(items),
            },
            folder / f"{self.dataset}{MANIFEST}",
            self._manifest,
        )

    def _items(self, profiles: list[Profile]) -> Iterator[Profile]:
        plain = self.texts.item
        askable = [code for code in range(len(plain)) if self.texts.has_text[code]]
        for profile in self._profiles("item", self.texts.ids, plain, askable, plain):
            profiles.append(profile)
            yield profile

    def _users(self, items: list[Profile]) -> Iterator[Profile]:
        ids = [str(user) for user in self.histories.ids]
        samples = [self._sample(index, user) for index, user in enumerate(ids)]
        plain = [self.texts.user(codes) for codes in samples]
        lines = [self._shown(profile, code) for code, profile in enumerate(items)]
        shown = ["\n".join(f"- {lines[code]}" for code in codes) for codes in samples]
        askable = [index for index, codes in enumerate(samples) if codes]
        yield from self._profiles("user", ids, plain, askable, shown)

    def _sample(self, index: int, user: str) -> list[int]:
        items = self.codes[self.histories.of(index)]
        places = sample_places(user, len(items), self.options.users_sample, self.options.seed)
        return items[places].tolist()

    def _shown(self, profile: Profile, code: int) -> str:
        is_told = profile.source == LLM and self.options.items_shown == "fused"
        return f"{self.texts.brief[code]}. {profile.fused}" if is_told else self.texts.brief[code]

    def _profiles(
        self,
        kind: Kind,
        ids: Sequence[str],
        plain: Sequence[str],
        askable: Sequence[int],
        shown: Sequence[str],
    ) -> Iterator[Profile]:
        """A profile per id: from the model if it answered, else from metadata."""
        if not self.options.is_llm:
            yield from map(plain_profile, ids, plain)
            return
        sample, limit, seed = self.options.sample, self.options.limit, self.options.seed
        chosen = [askable[i] for i in choose(askable, sample, limit, seed)] if askable else []
        counts = self.counts[kind]
        answers = ask_profiles(
            self.askers[0], kind, [shown[i] for i in chosen], self.asking, counts
        )
        with bar("texts", f"{kind}s", len(chosen)) as progress:
            is_chosen = set(chosen)
            for i, name in enumerate(ids):
                texts = None
                if i in is_chosen:
                    texts = next(answers)
                    progress.set_postfix_str(f"{counts.failed:,} failed", refresh=False)
                    progress.update()
                yield Profile(name, *texts, LLM) if texts else plain_profile(name, plain[i])

    def _manifest(self) -> dict[str, Any]:
        names = [name for kind in QUESTIONS.values() for name in kind]
        source = {"source": METADATA}
        if self.options.is_llm:
            source = {"source": self.options.llm.source, "model": self.model}
        return {
            "for": self.options.purpose,
            "dataset": self.dataset,
            "semantics": self.options.semantics,
            "about": self.about,
            **source,
            "prompts": {n: prompt(n).version for n in ("malformed", *names)}
            if self.options.is_llm
            else {},
            "parameters": self.options.model_dump(mode="json", exclude=_NOT_IN_MANIFEST),
            "domain": self.asking.domain,
            "inputs": self.data.inputs,
            "split": self.data.split.plain(),
            "counts": {f"{kind}s": counts.as_dict() for kind, counts in self.counts.items()},
            "version": __version__,
        }
