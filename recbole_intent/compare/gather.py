"""Collect the results of all runs of a comparison and check that they share one test set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recbole.utils import ModelType

from recbole_intent.compare.request import Key, Request
from recbole_intent.config.config import Config
from recbole_intent.data.loading.split import load_data
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.runs.evaluate import MACHINE, Evaluation, find_evaluation, find_inference
from recbole_intent.runs.experiment import finished_run
from recbole_intent.runs.jobs import Job, run_jobs
from recbole_intent.runs.outcome import Run
from recbole_intent.utils.errors import UserError

# A run without `result.json` is tested again, which writes its ranks too.
_TEST_AGAIN = "remove it and result.json, and the same command tests the run again"


def gather(
    request: Request,
    configs: Mapping[Key, Config],
    folders: Mapping[Key, Path],
    failures: dict[Key, str],
    output: Path,
) -> tuple[Comparison, list[str]]:
    """Collect all results of the runs, with notes on what could not be evaluated."""
    runs: dict[Key, Run] = {}
    ranks: dict[Key, Ranks] = {}
    for entry in request.entries:
        for seed in request.seeds:
            key = (entry.label, seed)
            if key in failures:
                continue
            try:
                done = finished_run(configs[key], folders[key])
                ranks[key] = Ranks.load(folders[key] / "ranks.npz", _TEST_AGAIN)
                runs[key] = done
            except UserError as error:
                failures[key] = " ".join(str(error).split())
    if not runs:
        (label, seed), reason = next(iter(failures.items()))
        raise UserError(f"no run succeeded; {label}, seed {seed}: {reason}")
    check_candidates({key: done.result for key, done in runs.items()})
    inference = _time_inference(request, folders, runs, failures, output)
    noisy, notes = _evaluate_noise(request, configs, folders, runs, output)
    ranks = {key: ranks[key] for key in runs}
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
            noise={key: {n: each.test for n, each in of.items()} for key, of in noisy.items()},
            noise_ranks={
                key: {n: each.ranks for n, each in of.items()} for key, of in noisy.items()
            },
            inference_seconds=inference,
            reference=request.reference or request.entries[0].label,
            by_target=frozenset(
                label
                for (label, _), config in configs.items()
                if config["MODEL_TYPE"] == ModelType.SEQUENTIAL
            ),
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
    """Time the first run of each model; drop models with different candidates."""
    timings = time_models(request, {key: folders[key] for key in runs}, {}, output)
    candidates = {label: times["candidates"] for label, times in timings.items()}
    usual = next((candidates[label] for label, _ in runs if label in candidates), None)
    for key in [key for key in runs if candidates.get(key[0], usual) != usual]:
        del runs[key]
        failures[key] = (
            f"ranks {candidates[key[0]]:,} items where the others rank {usual:,}: is load_col "
            "bringing in items without interactions?"
        )
    return {
        label: times["seconds_per_1000_users"]
        for label, times in timings.items()
        if candidates[label] == usual
    }


def time_models(
    request: Request, folders: Mapping[Key, Path], conditions: Mapping[str, Any], output: Path
) -> dict[str, dict[str, Any]]:
    """Time the first run of each label, one at a time; skip runs that cannot be timed.

    Args:
        request: provides the machine settings.
        folders: run folders of the runs that succeeded.
        conditions: as in `evaluate_run`, such as another task; empty: the runs as they are.
        output: folder of the comparison.

    Returns:
        Label -> times.
    """
    asked = {key: value for key, value in request.overrides.items() if key in MACHINE}
    asked |= conditions
    first_run: dict[str, Path] = {}
    for (label, _), folder in folders.items():
        first_run.setdefault(label, folder)
    timings = {label: find_inference(folder, asked) for label, folder in first_run.items()}
    jobs = [
        Job(label, "time", {"folder": str(folder), "machine": asked})
        for label, folder in first_run.items()
        if timings[label] is None
    ]
    reasons = run_jobs(jobs, 1, output / "logs", "inference")
    for job in jobs:
        if reasons[job.name] is None:
            timings[job.name] = find_inference(first_run[job.name], asked)
    return {label: times for label, times in timings.items() if times}


def _evaluate_noise(
    request: Request,
    configs: Mapping[Key, Config],
    folders: Mapping[Key, Path],
    runs: Mapping[Key, Run],
    output: Path,
) -> tuple[dict[Key, dict[tuple[str, float], Evaluation]], list[str]]:
    """Evaluations of every run under every kind of noise, with notes on those that failed."""
    conditions = {
        (kind, ratio): {"noise": {"kind": kind, "ratio": ratio}} for kind, ratio in request.noise
    }
    is_sequential = {key: configs[key]["MODEL_TYPE"] == ModelType.SEQUENTIAL for key in runs}
    asked = {key: folders[key] for key in runs if conditions and is_sequential[key]}
    reasons = evaluate_again(request, asked, list(conditions.values()), output, "noise")
    others = [label for label, seed in runs if conditions and not is_sequential[label, seed]]
    notes = [
        f"{label} reads no histories, so that noise in them changes nothing."
        for label in dict.fromkeys(others)
    ]
    notes += [f"{label}, seed {seed}: {why}." for (label, seed), why in reasons.items()]
    evaluations = {}
    for key, folder in asked.items():
        kept = {noise: find_evaluation(folder, each) for noise, each in conditions.items()}
        if key not in reasons and None not in kept.values():
            evaluations[key] = {noise: each for noise, each in kept.items() if each is not None}
    return evaluations, notes


def evaluate_again(
    request: Request,
    folders: Mapping[Key, Path],
    conditions: Sequence[Mapping[str, Any]],
    output: Path,
    title: str,
) -> dict[Key, str]:
    """Evaluate runs under each condition, unless already done.

    Args:
        request: provides the number of parallel workers.
        folders: run folders.
        conditions: as in `evaluate_run`.
        output: folder of the comparison.
        title: title of the progress bar and the logs.

    Returns:
        (label, seed) -> reason, for the evaluations that failed.
    """
    jobs: dict[Path, Job] = {}
    for (label, seed), folder in folders.items():
        missing = [each for each in conditions if find_evaluation(folder, each) is None]
        if missing and folder not in jobs:
            arguments = {"folder": str(folder), "conditions": missing}
            jobs[folder] = Job(f"{label}, seed {seed}, {title}", "evaluate", arguments)
    outcomes = run_jobs(list(jobs.values()), request.workers, output / "logs", title)
    reasons = {key: outcomes[jobs[path].name] for key, path in folders.items() if path in jobs}
    return {key: reason for key, reason in reasons.items() if reason}


def check_candidates(results: Mapping[Key, Mapping[str, Any]]) -> None:
    """Raise UserError unless all runs of the direct task ranked the same candidates.

    Args:
        results: (label, seed) -> contents of `result.json`.
    """
    hashes = {key: (result.get("candidates") or {}).get("hash") for key, result in results.items()}
    (first, usual), *others = hashes.items()
    for key, other in others:
        if other != usual:
            raise UserError(
                f"{first[0]}, seed {first[1]}, and {key[0]}, seed {key[1]}, were ranked among "
                f"different candidates ({_short(usual)} and {_short(other)}); use --fresh to train "
                "again"
            )


def _short(digest: str | None) -> str:
    return digest[:10] if digest else "all items"


def check_aligned(ranks: Mapping[Key, Ranks], configs: Mapping[Key, Config]) -> None:
    """Raise UserError unless all runs ranked the same targets of the same users."""
    (first, reference), *others = ranks.items()
    for key, other in others:
        for name, mine, theirs in (
            ("users", reference.user, other.user),
            ("targets", reference.target, other.target),
        ):
            if not np.array_equal(mine, theirs):
                raise UserError(
                    f"{first[0]} and {key[0]} were not tested on the same {name} "
                    f"({len(reference):,} and {len(other):,} rows); compare them apart"
                )
    kinds = {configs[key]["MODEL_TYPE"] == ModelType.SEQUENTIAL for key in ranks}
    if len(kinds) > 1 and len(np.unique(reference.user)) < len(reference):
        raise UserError(
            "eval_args: split: users have several test targets, which general models rank in one "
            "list and sequential ones each in its own; compare them on leave-one-out"
        )


def training_counts(config: Config, ranks: Ranks) -> tuple[np.ndarray, np.ndarray]:
    """Count the training interactions of each row's user and of its target, (N,) each.

    A test session has none in training, so its own items before the target are counted instead.
    """
    data = load_data(config, shares_passes=True)  # nothing is trained: no message about passes
    train = data.train_dataset.inter_matrix(form="csr")
    known = data.test.dataset.history_matrix() if config["session_split"] else train
    of_user, of_item = np.asarray(known.sum(axis=1)).ravel(), np.asarray(train.sum(axis=0)).ravel()
    return of_user[ranks.user].astype(np.int64), of_item[ranks.target].astype(np.int64)
