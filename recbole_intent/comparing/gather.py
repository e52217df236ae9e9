"""The numbers of all runs of a comparison: read, checked to be of one test, and measured."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from recbole.utils import ModelType

from recbole_intent.comparing.jobs import Job, run_jobs
from recbole_intent.comparing.request import Key, Request
from recbole_intent.config import Config
from recbole_intent.data.split import load_data
from recbole_intent.errors import UserError
from recbole_intent.evaluate import MACHINE, find_evaluation, find_inference
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.experiment import Run, run


def gather(
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
    check_candidates(runs)
    inference = _time_inference(request, folders, runs, failures, output)
    noise, notes = _evaluate_noise(request, configs, folders, runs, output)
    ranks = {key: Ranks.load(folders[key] / "ranks.npz") for key in runs}
    check_aligned(ranks, configs)
    first = next(iter(ranks))
    lengths, popularity = training_counts(configs[first], ranks[first])
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


def check_candidates(runs: Mapping[Key, Run]) -> None:
    """Raise UserError unless all runs of the direct task ranked among the same candidates."""
    hashes = {key: (done.result.get("candidates") or {}).get("hash") for key, done in runs.items()}
    (first, usual), *others = hashes.items()
    for key, found in others:
        if found != usual:
            raise UserError(
                f"{first[0]}, seed {first[1]}, and {key[0]}, seed {key[1]}, were ranked among "
                f"different candidates ({_short(usual)} and {_short(found)}); --fresh trains anew"
            )


def _short(digest: str | None) -> str:
    return digest[:10] if digest else "all items"


def check_aligned(ranks: Mapping[Key, Ranks], configs: Mapping[Key, Config]) -> None:
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


def training_counts(config: Config, ranks: Ranks) -> tuple[np.ndarray, np.ndarray]:
    """Training interactions of the user, and of the target, of each row of the ranks, (N,).

    A session that is tested has none in training: its own items before the target count.
    """
    data = load_data(config, shares_passes=True)  # nothing is trained: no word about passes
    train = data.train._dataset.inter_matrix(form="csr")
    known = data.test.dataset.history_matrix() if config["session_split"] else train
    of_user, of_item = np.asarray(known.sum(axis=1)).ravel(), np.asarray(train.sum(axis=0)).ravel()
    return of_user[ranks.user].astype(np.int64), of_item[ranks.target].astype(np.int64)
