"""Pipeline of `enrich --for=PO4ISR`: optimises a prompt, then ranks candidates with it.

Unlike all other products it shows the model validation and test sessions, for it is the model that
recommends. What it learns from, it takes from training sessions, and the choice of the prompt from
validation sessions; test sessions are asked about only after that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.config.config import Config
from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.data.formats.ranking_files import MANIFEST, RANKING, REPORT, Ranking
from recbole_intent.data.formats.record_files import write_records
from recbole_intent.data.loading.candidates import PARTS, Question, draw, refuse_too_many
from recbole_intent.data.loading.split import load_data
from recbole_intent.enrich.conversation import Manner
from recbole_intent.enrich.options import RankingOptions
from recbole_intent.enrich.prompts import prompt
from recbole_intent.enrich.rankings.asking import Questions, RankTask, gain, rank_of_target
from recbole_intent.enrich.rankings.optimise import Chosen, optimise
from recbole_intent.enrich.report import counted
from recbole_intent.enrich.samples import choose, draw_candidates, some_of
from recbole_intent.enrich.training_data import (
    TrainingData,
    read_training_data,
    refuse_other_split,
)
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
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import write_text
from recbole_intent.utils.version import __version__

_PROMPTS = "rank_items ranking_reasons refine_strategy paraphrase_strategy malformed".split()


def enrich_rankings(
    dataset: str,
    options: RankingOptions,
    data_path: str | Path = "dataset",
    output: str | Path | None = None,
    *,
    split: Mapping[str, Any] | None = None,
    cache: str | Path | None = None,
    export_batch: Path | None = None,
    import_batch: Path | None = None,
) -> Enriched:
    """Rank the candidates of all validation and test targets of a dataset.

    Repeating the call resumes an interrupted one without repeating requests.

    Args:
        dataset: a dataset with one validation and one test target per session.
        options: of the optimisation and of the requests.
        data_path: parent folder of datasets.
        output: folder of the files; None: the folder of the dataset or of its split.
        split: values of the run keys that define the training split, such as `eval_args`.
        cache: file of all answers so far; None: next to the dataset.
        export_batch, import_batch: not for this product: each request depends on earlier answers.

    Raises:
        UserError: invalid data or options, or no request can be answered; old files are kept.
    """
    if export_batch or import_batch:
        raise UserError(
            "--export_batch, --import_batch: not for PO4ISR, whose requests depend on earlier "
            "answers"
        )
    data = read_training_data("PO4ISR", dataset, data_path, split)
    folder = Path(output) if output is not None else data.folder
    refuse_other_split(folder / f"{dataset}{MANIFEST}", data.split)
    texts = _Titles(data, dataset)
    parts = _targets(dataset, options, data_path, split, texts)
    with own_folder(folder, dataset, (RANKING, MANIFEST, REPORT)), ExitStack() as stack:
        answers = Path(cache or data.source / f"{dataset}{ANSWERS}")
        (asker, *_), model = open_askers(options, answers, Batches(), stack)
        domain = options.domain or dataset.replace("-", " ").replace("_", " ")
        manner = Manner(options.llm.temperature, options.llm.max_tokens, options.seed)
        questions = Questions(
            asker, manner, domain, options.attempts, reason=options.llm.asks_reason
        )
        chosen = Chosen(first_strategy())
        if options.optimise:
            train = _training_tasks(data, options, texts)
            valid = _some(parts["valid"], options.valid_sessions, options.seed)
            chosen = optimise(chosen.strategy, train, valid, questions, options)
        questions.problems.clear()  # those of the optimisation cost no target
        ranks: dict[str, list[float]] = {part: [] for part in PARTS}
        asked_of = {
            part: [tasks[i] for i in choose(tasks, options.sample, options.limit, options.seed)]
            for part, tasks in parts.items()
        }

        def lines() -> Iterator[Ranking]:
            for part, tasks in asked_of.items():
                with bar("rankings", f"{part} targets", len(tasks)) as progress:
                    for first in range(0, len(tasks), asker.at_once):
                        chunk = tasks[first : first + asker.at_once]
                        rankings = questions.rank(chosen.strategy, chunk)
                        for task, places in zip(chunk, rankings, strict=True):
                            ranks[part].append(rank_of_target(task, places))
                            named = tuple(task.candidates[place] for place in places)
                            yield Ranking(part, task.session, task.candidates, named)
                        progress.update(len(chunk))

        def manifest() -> dict[str, Any]:
            return {
                "for": options.purpose,
                "dataset": dataset,
                "source": options.llm.source,
                "model": model,
                "prompts": {name: prompt(name).version for name in _PROMPTS},
                "parameters": options.model_dump(mode="json", exclude=NOT_IN_MANIFEST),
                "domain": domain,
                "inputs": data.inputs,
                "split": data.split.plain(),
                "strategy": chosen.strategy,
                "optimisation": chosen.history,
                "counts": {part: len(of) for part, of in ranks.items()},
                "without an answer": len(questions.problems),
                "tokens": list(questions.tokens),
                "version": __version__,
            }

        write_records(
            {folder / f"{dataset}{RANKING}": lines()}, folder / f"{dataset}{MANIFEST}", manifest
        )
        report = _report(dataset, model, chosen, ranks, questions)
        write_text(folder / f"{dataset}{REPORT}", report)
        asked, cached = count_requests([asker])
    total = sum(map(len, ranks.values()))
    share = 1 - len(questions.problems) / total if total else 0.0
    return Enriched(folder, report, share, asked, cached)


def first_strategy() -> str:
    """The strategy that the optimisation starts from."""
    return prompt("first_strategy").parts[0][1]


class _Titles:
    """Titles of items by id."""

    def __init__(self, data: TrainingData, dataset: str) -> None:
        self._texts = ItemTexts(data.source / f"{dataset}.item")
        self._code = {str(item): code for code, item in enumerate(self._texts.ids)}

    def __call__(self, item: str) -> str:
        code = self._code.get(item)
        return item if code is None else self._texts.title(code)


def _task(
    session: str,
    history: Sequence[str],
    candidates: Sequence[str],
    target: str,
    titles: _Titles,
    options: RankingOptions,
) -> RankTask:
    return RankTask(
        session,
        tuple(map(titles, history[-options.session_shown :])),
        tuple(candidates),
        tuple(map(titles, candidates)),
        list(candidates).index(target),
    )


def _some(tasks: Sequence[Any], most: int, seed: int) -> list[Any]:
    return some_of(tasks, most, np.random.default_rng([seed, 1]))


def _training_tasks(data: TrainingData, options: RankingOptions, titles: _Titles) -> list[RankTask]:
    """The last items of some training sessions, among random training items."""
    histories = data.histories.at_least(2)
    ids = [str(item) for item in histories.item_ids]
    tasks = []
    for index in _some(range(len(histories)), options.train_sessions, options.seed):
        session, items = str(histories.ids[index]), histories.of(index)
        if len(ids) - len({*items.tolist()}) < options.n_candidates:
            raise UserError(
                f"n_candidates: {options.n_candidates} are to be drawn, but training session "
                f"{session!r} leaves fewer items"
            )
        codes = draw_candidates(session, items, len(ids), options.n_candidates, options.seed)
        drawn = [ids[code] for code in codes]
        history = [ids[code] for code in items]
        tasks.append(_task(session, history[:-1], drawn, history[-1], titles, options))
    return tasks


def _targets(
    dataset: str,
    options: RankingOptions,
    data_path: str | Path,
    split: Mapping[str, Any] | None,
    titles: _Titles,
) -> dict[str, list[RankTask]]:
    """Part -> its targets among the candidates that a run with `--task=direct` draws."""
    config = Config(
        "PO4ISR",
        dataset,
        config_dict={
            **(split or {}),
            "data_path": str(data_path),
            "n_candidates": options.n_candidates,
            "candidates_seed": options.candidates_seed,
        },
    )
    data = load_data(config)
    question = Question.of(config, data)
    refuse_too_many(question)
    lists = draw(question)
    users = data.dataset.field2id_token[data.dataset.uid_field]
    items = data.dataset.field2id_token[data.dataset.iid_field]
    fields = f"{config['ITEM_ID_FIELD']}{config['LIST_SUFFIX']}", config["ITEM_LIST_LENGTH_FIELD"]
    tasks = {}
    for part, loader in zip(PARTS, (data.valid, data.test), strict=True):
        row_of = {user: row for row, user in enumerate(question.users[question.asked[part]])}
        task_of: dict[int, RankTask] = {}
        for batch in loader:
            seq, length = (batch.interaction[field] for field in fields)
            for i, user in enumerate(batch.user.tolist()):
                row = row_of[str(users[user])]
                history = [str(items[item]) for item in seq[i, : length[i]].tolist()]
                drawn = [str(item) for item in question.items[lists[part][row]]]
                target = str(question.items[question.targets[part][row]])
                session = str(users[user])
                task_of[row] = _task(session, history, drawn, target, titles, options)
        tasks[part] = [task_of[row] for row in sorted(task_of)]
    return tasks


def _report(
    dataset: str,
    model: str,
    chosen: Chosen,
    ranks: Mapping[str, Sequence[float]],
    questions: Questions,
) -> str:
    lines = [f"# Rankings of {dataset} by {model}", "", "Strategy:", "", chosen.strategy, ""]
    for part, of in ranks.items():
        mean = sum(map(gain, of)) / len(of) if of else 0.0
        lines.append(f"- {part}: {len(of):,} targets, mean NDCG {mean:.4f}")
    problems = Counter(questions.problems)
    lines.append(f"- without a usable answer: {len(questions.problems):,} ({counted(problems)})")
    prompt_tokens, answer_tokens = questions.tokens
    lines.append(f"- tokens: {prompt_tokens:,} in prompts, {answer_tokens:,} in answers")
    return "\n".join([*lines, ""])
