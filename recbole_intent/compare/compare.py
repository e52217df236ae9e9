"""Comparison of several models under one protocol, with significance tests and figures."""

import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.compare import comparison_tables, difference_tables
from recbole_intent.compare.entries import check_protocol, refuse_idle
from recbole_intent.compare.gather import gather
from recbole_intent.compare.other_task import ask_otherwise
from recbole_intent.compare.request import Key, Request
from recbole_intent.compare.same_tests import check_same_tests
from recbole_intent.config.config import Config
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.significance import best_baselines, paired_tests
from recbole_intent.plotting.tables import Table
from recbole_intent.runs.experiment import run_folder
from recbole_intent.runs.jobs import Job, run_jobs
from recbole_intent.trainer.callbacks import paths_of
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint, write_text
from recbole_intent.utils.ownership import COMPARISON, claimed
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.printable import markdown, printable

_LOGGER = logging.getLogger("recbole_intent")


@dataclass(frozen=True)
class Outcome:
    """The results of a comparison.

    Attributes:
        folder: contains tables, figures, `report.md` and `page.html`.
        comparison: the numbers.
        tables: name -> table, in the order of the report.
        others: additional task -> numbers of the same runs on it.
    """

    folder: Path
    comparison: Comparison
    tables: dict[str, Table]
    others: dict[str, Comparison]


def compare(request: Request) -> Outcome:
    """Train the missing runs, evaluate, and write tables, figures and the report.

    Runs are stored where `experiment.run` puts them, so finished runs are reused and an interrupted
    comparison continues. A model that fails gets a row with the reason.

    Raises:
        UserError: an invalid request (checked before training), no successful run, or runs with
            different test targets.
    """
    configs = _configs(request)
    folders = {key: run_folder(config) for key, config in configs.items()}
    output = _output_folder(request, configs, folders)
    with claimed(output, COMPARISON, keep=["report.md", "logs/*"]):
        failures = _train(request, configs, folders, output)
        comparison, notes = gather(request, configs, folders, failures, output)
        metric = next(iter(configs.values()))["valid_metric"].lower()
        tables = _tables(comparison, folders, metric, notes)
        others = {
            task: ask_otherwise(request, task, configs, folders, comparison, output)
            for task in request.tasks
        }
        for task, other in others.items():
            tables[f"test-{task}"] = _task_table(other)
        # Each table may be read, or pasted, without the others.
        others_say = [*request.notes(), *comparison_tables.deviation_notes(comparison)]
        tables = {
            name: replace(table, notes=[*table.notes, *others_say])
            for name, table in tables.items()
        }
        _write(request, comparison, tables, output, folders)
    return Outcome(output, comparison, tables, others)


def _configs(request: Request) -> dict[Key, Config]:
    """Return the configuration of every run; an invalid one raises here."""
    _refuse_seeds(request)
    request.check_preset()
    paths_of(request.callbacks)
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
    of_first = {label: config for (label, seed), config in configs.items() if seed == first}
    check_protocol(of_first)
    own = {entry.label: entry.values.keys() for entry in request.entries}
    refuse_idle(of_first, own, "direct" in request.tasks)
    check_same_tests(of_first)
    return configs


def _refuse_seeds(request: Request) -> None:
    """Raise if a seed is given that `--seeds` would override."""
    sources: list[tuple[str, Mapping[str, Any]]]
    sources = [(f"{path}: seed", read_yaml(path)) for path in request.config_files]
    sources += [(f"{entry.label}: seed", entry.values) for entry in request.entries]
    for where, values in (*sources, ("--seed", request.overrides)):
        seed = values.get("seed")
        if seed is not None and (where == "--seed" or [seed] != [*request.seeds]):
            raise UserError(f"{where}: {seed!r} has no effect here; give --seeds={seed}")


def _output_folder(
    request: Request, configs: Mapping[Key, Config], folders: Mapping[Key, Path]
) -> Path:
    if request.output:
        return Path(request.output)
    names = {f"{label} {seed}": folder.name for (label, seed), folder in folders.items()}
    asked = [names, request.reference, [list(noise) for noise in request.noise]]
    digest = fingerprint(asked + [list(request.tasks)] * bool(request.tasks))
    root = next(iter(configs.values()))["checkpoint_dir"]
    return Path(root) / f"compare-{request.dataset}-{digest[:10]}"


def _train(
    request: Request,
    configs: Mapping[Key, Config],
    folders: Mapping[Key, Path],
    output: Path,
) -> dict[Key, str]:
    """Train every unfinished run and return the reasons of failures."""
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
                "allow_idle": True,  # the runs share their values
                "callbacks": [*request.callbacks],
            }
            jobs[folder] = Job(f"{entry.label}, seed {seed}", "train", arguments)
    n_runs = len(set(folders.values()))
    _LOGGER.info("%d runs, %d of them finished before", n_runs, n_runs - len(jobs))
    reasons = run_jobs(list(jobs.values()), request.workers, output / "logs", "runs")
    failures = {folder: why for folder, job in jobs.items() if (why := reasons[job.name])}
    return {key: failures[folder] for key, folder in folders.items() if folder in failures}


def _share_of_machine(request: Request) -> dict[str, int]:
    """Return the threads of each parallel training, unless they are set already."""
    if request.workers == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"threads": max(1, (os.cpu_count() or 1) // request.workers)}


def _tables(
    comparison: Comparison,
    folders: Mapping[Key, Path],
    metric: str,
    notes: Sequence[str],
) -> dict[str, Table]:
    metrics, reference = comparison.metrics, comparison.reference
    values = comparison.user_values()
    best = best_baselines(comparison_tables.mean_test(comparison), metrics, reference)
    tested = comparison.tested
    against_best = paired_tests(values, tested, _only(best, tested))
    tables = {"test": comparison_tables.metric_table(comparison, best, against_best)}
    if best:
        tables["gain"] = comparison_tables.gain_table(comparison, best, against_best)
    against_reference = []
    if reference is not None and any(label == reference for label, _ in values):
        against_reference = paired_tests(values, tested, dict.fromkeys(tested, reference))
    for name, tests, opponent in (
        ("significance-best", against_best, "the best baseline"),
        ("significance-reference", against_reference, reference),
    ):
        if tests:
            title = comparison.titled(f"Differences from {opponent}")
            tables[name] = difference_tables.significance_table(tests, title)
            if len(comparison.seeds) > 1:
                tables[f"{name}-seeds"] = difference_tables.seed_table(
                    tests, f"{title}, seed by seed"
                )
    if reference is not None and against_reference:
        means = {
            label: np.mean([v for (name, _), v in values.items() if name == label], axis=0)
            for label, _ in values
        }
        tables["wins"] = difference_tables.wins_table(comparison, means, reference)
    if comparison.noise or notes:
        tables["noise"] = comparison_tables.noise_table(comparison, metric, notes)
    tables["cost"] = comparison_tables.cost_table(comparison)
    tables["runs"] = comparison_tables.runs_table(comparison, metric, folders)
    return tables


def _only(best: Mapping[str, str], metrics: Sequence[str]) -> dict[str, str]:
    return {metric: best[metric] for metric in metrics if metric in best}


def _task_table(other: Comparison) -> Table:
    """Return the metrics of a task other than the one that chose the epochs."""
    metrics = other.metrics
    best = best_baselines(comparison_tables.mean_test(other), metrics, other.reference)
    tests = paired_tests(other.user_values(), other.tested, _only(best, other.tested))
    table = comparison_tables.metric_table(other, best, tests)
    note = f"The runs were not trained again: their epochs were not chosen on {other.ranked}."
    return replace(table, notes=[*table.notes, note])


def _write(
    request: Request,
    comparison: Comparison,
    tables: Mapping[str, Table],
    output: Path,
    folders: Mapping[Key, Path],
) -> None:
    from recbole_intent.compare import page

    for name, table in tables.items():
        table.write(output / "tables", name)
    title = comparison.titled(f"Comparison on {comparison.dataset}")
    write_text(output / "report.md", report(request, tables, title))
    page.write(comparison, output, [*tables.values()], request.command, folders, request.figures)


def report(request: Request, tables: Mapping[str, Table], title: str) -> str:
    """Return all tables as one Markdown text, with the command that makes them if known."""
    head = [f"# {markdown(title)}\n"]
    if request.command:  # empty if called from Python
        words = printable(f"recbole_intent {shlex.join(request.command)}")
        head.append(f"```\n{words}\n```\n")
    sections = [f"## {markdown(table.title)}\n\n{table.markdown()}" for table in tables.values()]
    return "\n".join([*head, *sections])
