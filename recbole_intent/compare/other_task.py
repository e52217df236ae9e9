"""Evaluate the runs of a comparison on another task than their own, or with another mask."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from recbole_intent.compare.gather import (
    check_aligned,
    check_candidates,
    evaluate_again,
    time_models,
)
from recbole_intent.compare.request import MASKS, Key, Request
from recbole_intent.config.config import Config
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.runs.evaluate import find_evaluation
from recbole_intent.utils.errors import UserError


def ask_otherwise(
    request: Request,
    task: str,
    configs: Mapping[Key, Config],
    folders: Mapping[Key, Path],
    comparison: Comparison,
    output: Path,
) -> Comparison:
    """Test the same runs on another task, with the weights selected on their own task.

    Nothing is trained. A run that cannot be tested on the task is listed as a failure.

    Args:
        request: its `times_tasks` decides whether inference is timed too.
        task: `next-item`; `direct`, with the same candidates for all runs; or `masked` or
            `unmasked`, which exclude or keep the history in the ranking.
        configs: configurations of all runs.
        folders: folders of all runs.
        comparison: results of the runs on their own task.
        output: folder of the comparison.

    Raises:
        UserError: no run could be tested, or the candidates differ between runs.
    """
    folders = {key: folders[key] for key in comparison.results}
    values = configs[next(iter(folders))]
    condition = {"mask_history": MASKS[task]} if task in MASKS else {"task": task}
    if task == "direct":  # a run that ranked all items may have other values
        condition |= {key: values[key] for key in ("n_candidates", "candidates_seed")}
    reasons = evaluate_again(request, folders, [condition], output, _name(task))
    done = {key: folder for key, folder in folders.items() if key not in reasons}
    if not done:
        (label, seed), reason = next(iter(reasons.items()))
        raise UserError(f"no run could be evaluated, {_name(task)}; {label}, seed {seed}: {reason}")
    kept = {key: find_evaluation(folder, condition) for key, folder in done.items()}
    evaluations = {key: each for key, each in kept.items() if each is not None}
    if not evaluations:
        raise UserError(f"{_name(task)}: no evaluation can be read; run the same command again")
    results = {
        key: {**comparison.results[key], "test": each.test, "candidates": each.candidates}
        for key, each in evaluations.items()
    }
    check_candidates(results)
    ranks = {key: each.ranks for key, each in evaluations.items()}
    check_aligned(ranks, configs)
    times = time_models(request, done, condition, output) if request.times_tasks else {}
    return replace(
        comparison,
        results=results,
        ranking=_name(task) if task in MASKS else "",
        ranks=ranks,
        failures={**comparison.failures, **reasons},
        noise={},
        noise_ranks={},
        inference_seconds={label: each["seconds_per_1000_users"] for label, each in times.items()},
    )


def _name(task: str) -> str:
    return f"history {task}" if task in MASKS else f"{task} task"
