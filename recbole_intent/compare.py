"""Several models under one protocol: trained, tested against each other, in tables and pictures."""

import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from recbole.utils import ModelType

from recbole_intent.comparing.entries import Entry, check_protocol
from recbole_intent.comparing.jobs import Job, run_jobs
from recbole_intent.config import Config
from recbole_intent.data.split import data_fingerprint, load_data
from recbole_intent.errors import UserError
from recbole_intent.evaluate import MACHINE, find_evaluation, find_inference
from recbole_intent.evaluation import comparison_tables
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.metrics import per_user
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.evaluation.significance import best_baselines, paired_tests
from recbole_intent.evaluation.tables import Table
from recbole_intent.experiment import Run, run, run_folder
from recbole_intent.files import fingerprint, folder_lock, write_text

_LOGGER = logging.getLogger("recbole_intent")

Key = tuple[str, int]  # label, seed


@dataclass(frozen=True)
class Request:
    """What is to be compared, and how.

    Attributes:
        dataset: a prepared dataset.
        entries: the models, each with keys of its own.
        seeds: every model is trained with each.
        reference: label that the others are tested against, and that is no baseline; the first
            entry when None.
        config_files: YAML files for all models.
        overrides: typed values for all models; an entry's own keys win over them.
        noise: (kind, ratio) of noise in the test histories to evaluate all runs under.
        workers: trainings side by side.
        output: folder of tables and pictures; `<checkpoint_dir>/compare-<dataset>-<digest>` when
            None.
        fresh: train anew what was trained before.
        allow_unknown: accept keys that no default file knows.
        command: words of the command that asks for this, to stand in the report.
    """

    dataset: str
    entries: Sequence[Entry]
    seeds: Sequence[int]
    reference: str | None = None
    config_files: Sequence[str] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    noise: Sequence[tuple[str, float]] = ()
    workers: int = 1
    output: str | None = None
    fresh: bool = False
    allow_unknown: bool = False
    command: Sequence[str] = ()

    def __post_init__(self) -> None:
        labels = [entry.label for entry in self.entries]
        if self.reference is not None and self.reference not in labels:
            raise UserError(f"--reference={self.reference}: not among {', '.join(labels)}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError("--seeds: give each seed once, such as --seeds=2020,2021,2022")
        if self.workers < 1:
            raise UserError(f"--workers={self.workers}: must be at least 1")

    def overrides_of(self, entry: Entry, seed: int) -> dict[str, Any]:
        """The values that a run of one entry is started with."""
        return {**self.overrides, **entry.values, "seed": seed, "show_progress": False}


@dataclass(frozen=True)
class Outcome:
    """What a comparison left behind.

    Attributes:
        folder: with tables, pictures, `report.md` and `page.html`.
        comparison: the numbers.
        tables: name -> table, in the order of the report.
    """

    folder: Path
    comparison: Comparison
    tables: dict[str, Table]


def compare(request: Request) -> Outcome:
    """Train what is missing, evaluate, and write tables, pictures and report.

    Runs lie where `experiment.run` puts them, so finished ones are read again, and a comparison
    that was killed goes on. A model that fails is a row with its reason.

    Raises:
        UserError: a mistake in the request, found before anything is trained; no run that
            succeeded; or runs whose test targets are not the same.
    """
    configs = _configs(request)
    folders = {key: run_folder(config) for key, config in configs.items()}
    output = _output_folder(request, configs, folders)
    with folder_lock(output):
        failures = _train(request, configs, folders, output)
        comparison, notes = _gather(request, configs, folders, failures, output)
        metric = next(iter(configs.values()))["valid_metric"].lower()
        tables = _tables(comparison, configs, folders, metric, notes)
        _write(request, comparison, tables, output)
    return Outcome(output, comparison, tables)


def _configs(request: Request) -> dict[Key, Config]:
    """The configuration of every run; mistakes are found here."""
    configs = {}
    for entry in request.entries:
        for seed in request.seeds:
            overrides = request.overrides_of(entry, seed)
            try:
                configs[entry.label, seed] = Config(
                    entry.model,
                    request.dataset,
                    request.config_files,
                    overrides,
                    request.allow_unknown,
                )
            except UserError as error:
                raise UserError(f"{entry.label}: {error}") from error
    first = request.seeds[0]
    check_protocol({label: config for (label, seed), config in configs.items() if seed == first})
    for seed in {config["seed"] for config in configs.values()}:
        if seed not in request.seeds:
            raise UserError("seed: give --seeds=… for all models")
    data_fingerprint(next(iter(configs.values())))  # is the dataset there at all?
    return configs


def _output_folder(
    request: Request, configs: Mapping[Key, Config], folders: Mapping[Key, Path]
) -> Path:
    if request.output:
        return Path(request.output)
    names = {f"{label} {seed}": folder.name for (label, seed), folder in folders.items()}
    digest = fingerprint([names, request.reference, [list(noise) for noise in request.noise]])
    root = next(iter(configs.values()))["checkpoint_dir"]
    return Path(root) / f"compare-{request.dataset}-{digest[:10]}"


def _train(
    request: Request,
    configs: Mapping[Key, Config],
    folders: Mapping[Key, Path],
    output: Path,
) -> dict[Key, str]:
    """Train every run that is not finished; returns why those failed that did."""
    machine = _share_of_machine(request)
    jobs: dict[Path, Job] = {}
    for entry in request.entries:
        for seed in request.seeds:
            folder = folders[entry.label, seed]
            if folder in jobs or (not request.fresh and (folder / "result.json").is_file()):
                continue
            arguments = {
                "model": entry.model,
                "dataset": request.dataset,
                "config_files": [str(path) for path in request.config_files],
                "overrides": {**machine, **request.overrides_of(entry, seed)},
                "fresh": request.fresh,
                "allow_unknown": request.allow_unknown,
            }
            jobs[folder] = Job(f"{entry.label}, seed {seed}", "train", arguments)
    n_runs = len(set(folders.values()))
    _LOGGER.info("%d runs, %d of them finished before", n_runs, n_runs - len(jobs))
    reasons = run_jobs(list(jobs.values()), request.workers, output / "logs", "runs")
    failures = {folder: reasons[job.name] for folder, job in jobs.items() if reasons[job.name]}
    return {key: failures[folder] for key, folder in folders.items() if folder in failures}


def _share_of_machine(request: Request) -> dict[str, int]:
    """Threads for each of several trainings, unless somebody has already said how many."""
    if request.workers == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"threads": max(1, (os.cpu_count() or 1) // request.workers)}


def _gather(
    request: Request,
    configs: Mapping[Key, Config],
    folders: Mapping[Key, Path],
    failures: dict[Key, str],
    output: Path,
) -> tuple[Comparison, list[str]]:
    """All numbers of the runs, with notes of what could not be evaluated."""
    runs: dict[Key, Run] = {}
    for entry in request.entries:
        for seed in request.seeds:
            key = (entry.label, seed)
            if key in failures:
                continue
            try:
                runs[key] = run(
                    entry.model,
                    request.dataset,
                    request.config_files,
                    request.overrides_of(entry, seed),
                    allow_unknown=request.allow_unknown,
                )
            except UserError as error:
                failures[key] = " ".join(str(error).split())
    if not runs:
        (label, seed), reason = next(iter(failures.items()))
        raise UserError(f"no run succeeded; {label}, seed {seed}: {reason}")
    inference = _time_inference(request, folders, runs, failures, output)
    noise, notes = _evaluate_noise(request, configs, folders, runs, output)
    ranks = {key: Ranks.load(folders[key] / "ranks.npz") for key in runs}
    _check_aligned(ranks, configs)
    first = next(iter(ranks))
    lengths, popularity = _training_counts(configs[first], ranks[first])
    return (
        Comparison(
            dataset=request.dataset,
            labels=[entry.label for entry in request.entries],
            seeds=list(request.seeds),
            metrics=list(runs[first].result["test"]),
            results={key: done.result for key, done in runs.items()},
            ranks=ranks,
            failures=failures,
            history_length=lengths,
            item_popularity=popularity,
            noise=noise,
            inference_seconds=inference,
            reference=request.reference or request.entries[0].label,
        ),
        notes,
    )


def _time_inference(
    request: Request,
    folders: Mapping[Key, Path],
    runs: dict[Key, Run],
    failures: dict[Key, str],
    output: Path,
) -> dict[str, float]:
    """Time the first run of each model, one after another; drop models with other candidates."""
    machine = {key: value for key, value in request.overrides.items() if key in MACHINE}
    first_run = {label: folders[label, seed] for label, seed in reversed(runs)}
    found = {label: find_inference(first_run[label], machine) for label in first_run}
    jobs = [
        Job(label, "time", {"folder": str(first_run[label]), "machine": machine})
        for label in dict.fromkeys(label for label, _ in runs)
        if found[label] is None
    ]
    reasons = run_jobs(jobs, 1, output / "logs", "inference")
    for job in jobs:
        if reasons[job.name] is None:
            found[job.name] = find_inference(first_run[job.name], machine)
    candidates = {label: times["candidates"] for label, times in found.items() if times}
    usual = next((candidates[label] for label, _ in runs if label in candidates), None)
    for key in [key for key in runs if candidates.get(key[0], usual) != usual]:
        del runs[key]
        failures[key] = (
            f"ranks {candidates[key[0]]:,} items where the others rank {usual:,}: is load_col "
            "bringing in items without interactions?"
        )
    return {
        label: times["seconds_per_1000_users"]
        for label, times in found.items()
        if times and candidates[label] == usual
    }


def _evaluate_noise(
    request: Request,
    configs: Mapping[Key, Config],
    folders: Mapping[Key, Path],
    runs: Mapping[Key, Run],
    output: Path,
) -> tuple[dict[Key, dict[tuple[str, float], dict[str, float]]], list[str]]:
    """Test metrics of every run under every noise; and notes of those that cannot be had."""
    conditions = {
        (kind, ratio): {"noise": {"kind": kind, "ratio": ratio}} for kind, ratio in request.noise
    }
    jobs = {}
    is_sequential = {key: configs[key]["MODEL_TYPE"] == ModelType.SEQUENTIAL for key in runs}
    keys = [key for key in runs if conditions and is_sequential[key]]
    for label, seed in keys:
        folder = folders[label, seed]
        missing = [
            condition
            for condition in conditions.values()
            if find_evaluation(folder, condition) is None
        ]
        if missing and folder not in jobs:
            arguments = {"folder": str(folder), "conditions": missing}
            jobs[folder] = Job(f"{label}, seed {seed}", "evaluate", arguments)
    reasons = run_jobs(list(jobs.values()), request.workers, output / "logs", "noise")
    others = [label for label, seed in runs if conditions and not is_sequential[label, seed]]
    notes = [
        f"{label} reads no histories, so that noise in them changes nothing."
        for label in dict.fromkeys(others)
    ]
    found = {}
    for key in keys:
        job = jobs.get(folders[key])
        if job and reasons[job.name]:
            notes.append(f"{key[0]}, seed {key[1]}: {reasons[job.name]}.")
            continue
        found[key] = {
            noise: find_evaluation(folders[key], condition).test
            for noise, condition in conditions.items()
        }
    return found, notes


def _check_aligned(ranks: Mapping[Key, Ranks], configs: Mapping[Key, Config]) -> None:
    """Raise UserError unless all runs ranked the same targets of the same users."""
    (first, reference), *others = ranks.items()
    for key, found in others:
        for name, mine, theirs in (
            ("users", reference.user, found.user),
            ("targets", reference.target, found.target),
        ):
            if not np.array_equal(mine, theirs):
                raise UserError(
                    f"{first[0]} and {key[0]} were not tested on the same {name} "
                    f"({len(reference):,} and {len(found):,} rows); compare them apart"
                )
    kinds = {configs[key]["MODEL_TYPE"] == ModelType.SEQUENTIAL for key in ranks}
    if len(kinds) > 1 and len(np.unique(reference.user)) < len(reference):
        raise UserError(
            "eval_args: split: users have several test targets, which general models rank in one "
            "list and sequential ones each in its own; compare them on leave-one-out"
        )


def _training_counts(config: Config, ranks: Ranks) -> tuple[np.ndarray, np.ndarray]:
    """Training interactions of the user, and of the target, of each row of the ranks, (N,).

    A session that is tested has none in training: its own items before the target count.
    """
    data = load_data(config)
    train = data.train._dataset.inter_matrix(form="csr")
    known = data.test.dataset.history_matrix() if config["session_split"] else train
    of_user, of_item = np.asarray(known.sum(axis=1)).ravel(), np.asarray(train.sum(axis=0)).ravel()
    return of_user[ranks.user].astype(np.int64), of_item[ranks.target].astype(np.int64)


def user_values(ranks: Ranks, metrics: Sequence[str], by_target: bool) -> np.ndarray:
    """The metrics of each user.

    Args:
        ranks: of the test targets.
        metrics: such as `recall@10`.
        by_target: each target is a list of its own, whose values are averaged by user (how
            sequential models are evaluated); else a user's targets are one list.

    Returns:
        (U, M) float64, users in ascending order.
    """
    columns = []
    for metric in metrics:
        name, _, k = metric.partition("@")
        if not by_target:
            columns.append(per_user(ranks, name, int(k))[1])
            continue
        rows = Ranks(np.arange(len(ranks)), ranks.target, ranks.rank)
        values = per_user(rows, name, int(k))[1]  # (N,), in the order of `ranks`
        _, first, count = np.unique(ranks.user, return_index=True, return_counts=True)
        columns.append(np.add.reduceat(values, first) / count)
    return np.stack(columns, axis=1)


def _tables(
    comparison: Comparison,
    configs: Mapping[Key, Config],
    folders: Mapping[Key, Path],
    metric: str,
    notes: Sequence[str],
) -> dict[str, Table]:
    metrics, reference = comparison.metrics, comparison.reference
    values = {
        key: user_values(
            ranks, metrics, by_target=configs[key]["MODEL_TYPE"] == ModelType.SEQUENTIAL
        )
        for key, ranks in comparison.ranks.items()
    }
    best = best_baselines(comparison_tables.mean_test(comparison), metrics, reference)
    against_best = paired_tests(values, metrics, best)
    tables = {"test": comparison_tables.metric_table(comparison, best, against_best)}
    if best:
        tables["gain"] = comparison_tables.gain_table(comparison, best)
    against_reference = []
    has_reference = any(label == reference for label, _ in values)
    if has_reference:
        against_reference = paired_tests(values, metrics, dict.fromkeys(metrics, reference))
    for name, tests, opponent in (
        ("significance-best", against_best, "the best baseline"),
        ("significance-reference", against_reference, reference),
    ):
        if tests:
            title = f"Differences from {opponent}"
            tables[name] = comparison_tables.significance_table(tests, title)
            if len(comparison.seeds) > 1:
                tables[f"{name}-seeds"] = comparison_tables.seed_table(
                    tests, f"{title}, seed by seed"
                )
    if against_reference:
        means = {
            label: np.mean([v for (name, _), v in values.items() if name == label], axis=0)
            for label, _ in values
        }
        tables["wins"] = comparison_tables.wins_table(comparison, means, reference)
    if comparison.noise or notes:
        tables["noise"] = comparison_tables.noise_table(comparison, metric, notes)
    tables["cost"] = comparison_tables.cost_table(comparison)
    tables["runs"] = comparison_tables.runs_table(comparison, metric, folders)
    return tables


def _write(
    request: Request, comparison: Comparison, tables: Mapping[str, Table], output: Path
) -> None:
    from recbole_intent.evaluation import page

    for name, table in tables.items():
        table.write(output / "tables", name)
    write_text(output / "report.md", report(request, tables))
    page.write(comparison, output, {table.title: table.markdown() for table in tables.values()})


def report(request: Request, tables: Mapping[str, Table]) -> str:
    """All tables in one Markdown text, with the command that makes them."""
    words = " ".join(["python run_recbole_intent.py compare", shlex.join(request.command)])
    sections = [f"## {table.title}\n\n{table.markdown()}" for table in tables.values()]
    return "\n".join([f"# Comparison on {request.dataset}\n", f"```\n{words}\n```\n", *sections])
