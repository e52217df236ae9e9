"""Searches of several models with the same budget, and their report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recbole_intent.evaluation.report import text_table
from recbole_intent.tune.report import short
from recbole_intent.tune.tune import Options, Search, Sweep
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint, write_text
from recbole_intent.utils.ownership import SEARCHES, claim, refuse_foreign
from recbole_intent.utils.printable import printable, say


@dataclass(frozen=True)
class Searches:
    """The outcome of searches with the same budget.

    Attributes:
        folder: folder of `report.md`.
        sweeps: the outcome of each model, in the order of the models.
        report: the text of `report.md`.
    """

    folder: Path
    sweeps: list[Sweep]
    report: str


def tune_models(
    models: Sequence[str],
    dataset: str,
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    options: Options | None = None,
) -> Searches:
    """Search each model with the same number of trials, epochs, algorithm and scheduler.

    All settings are checked before the first search begins. The searches run one after the other,
    each with its trials in parallel. `report.md` is rewritten after each.

    Args:
        models: names or `package.module:Class`, each once.
        dataset, config_files: as `tune`.
        overrides: typed values for all trials of all models.
        options: as `tune`; `output` gets a folder per model. With `resume`, finished searches are
            read, interrupted ones continue, and the others begin.

    Raises:
        UserError: as `tune`, or the models would get different budgets.
    """
    options = options or Options()
    names = [model.rpartition(":")[2] for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--models: {name} is named twice")
    searches = []
    for model, name in zip(models, names, strict=True):
        output = Path(options.output) / name if options.output else None
        own = replace(options, output=output)
        searches.append(Search(model, dataset, config_files, overrides, own, may_begin=True))
    budgets = {name: str(s.budget) for name, s in zip(names, searches, strict=True)}
    if len({*budgets.values()}) > 1:
        shown = ", ".join(f"{name} {budget}" for name, budget in budgets.items())
        raise UserError(
            f"the models' own epochs give them different budgets ({shown}); give all the same "
            "--epochs=…, or --budget=16x30"
        )
    folder = Path(options.output) if options.output else _folder(searches)
    refuse_foreign(folder, SEARCHES)
    sweeps: list[Sweep] = []
    report = ""
    for name, search in zip(names, searches, strict=True):
        say(f"{name}: {search.budget}, in {search.folder}", flush=True)
        sweeps.append(search.run())
        claim(folder, SEARCHES)
        report = _report(dataset, options, sweeps)
        write_text(folder / "report.md", report)
    return Searches(folder, sweeps, report)


def _folder(searches: Sequence[Search]) -> Path:
    first = searches[0].folder
    digest = fingerprint([search.folder.name for search in searches])[:10]
    return first.parent / f"models-{digest}"


def _report(dataset: str, options: Options, sweeps: Sequence[Sweep]) -> str:
    first = sweeps[0]
    metric = first.metric
    rows, values = [], []
    for sweep in sweeps:
        result, best = sweep.result, sweep.best
        stopped = sum(trial.status == "stopped" for trial in sweep.trials)
        failed = sum(trial.status == "failed" for trial in sweep.trials)
        rows.append(
            [
                result["model"],
                *(str(n) for n in (len(sweep.trials), stopped, failed, sweep.epochs)),
                f"{sweep.minutes:.1f}",
                *(f"{part[metric]:.4f}" for part in (result["valid"], result["test"])),
            ]
        )
        chosen = ", ".join(f"{key} {short(value)}" for key, value in best.params.items())
        where = sweep.tuned or sweep.folder / "best.yaml"
        values.append(f"- {result['model']}, trial {best.index}: {chosen} (`{where}`)")
    header = ["model", "trials", "stopped early", "failed", "epochs", "minutes"]
    header += [f"valid {metric}", f"test {metric}"]
    how = f"{options.algorithm} search, scheduler {options.scheduler}"
    return "\n".join(
        [
            printable(f"# Hyper-parameter searches on {dataset}"),
            "",
            f"Budget of every model: {first.budget}; {how}. A model spends less if its space has "
            f"fewer combinations, or if trials stop early. Minutes are those of all trials "
            f"together. The best trial by validation {metric} is tested once.",
            "",
            text_table(header, rows),
            "",
            "The best values:",
            "",
            *(printable(line) for line in values),
            "",
        ]
    )
