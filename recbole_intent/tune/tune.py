"""Hyper-parameter search: trials of one model, compared on validation; the best is tested once."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from recbole_intent.config.command_keys import TUNE, refuse
from recbole_intent.config.config import Config
from recbole_intent.runs.experiment import comparable, inputs_fingerprint, run
from recbole_intent.tune.ledger import FAILED, STOPPED, Ledger, Trial, best_trial
from recbole_intent.tune.page import write_page
from recbole_intent.tune.rays import Task, parse_engine, ray_running, require_ray, run_trials
from recbole_intent.tune.report import Watch, write_csv
from recbole_intent.tune.scheduler import Judge
from recbole_intent.tune.space import Space, check_space, read_space, without_idle
from recbole_intent.tune.suggest import OptunaSuggester, RandomSuggester, Suggester
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint, write_json, write_text
from recbole_intent.utils.own_files import read_json
from recbole_intent.utils.ownership import SEARCH, claimed, clear, refuse_foreign
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.printable import printable, say

_FRESH = "use --fresh to overwrite the search"


@dataclass(frozen=True)
class Sweep:
    """The outcome of a search.

    Attributes:
        folder: its folder.
        trials: all of them, by index.
        best: the one with the best validation metric.
        result: the contents of `result.json`: the best trial's run, tested.
        metric: the validation metric that chose it.
    """

    folder: Path
    trials: list[Trial]
    best: Trial
    result: dict[str, Any]
    metric: str


@dataclass(frozen=True)
class Options:
    """Options of a search.

    Attributes:
        trials: number of trials, >= 1; fewer if the space is smaller.
        search: file of the search space; the model's own when None.
        resources: per trial, such as `cpu=1,gpu=0.25`; empty: one CPU, and one GPU if available.
        address: of a Ray cluster; None starts Ray here.
        algorithm: random or optuna.
        scheduler: asha, median or none.
        grace: epochs that every trial gets; a tenth of `epochs`, at least 1, if None.
        reduction: asha keeps the best 1/reduction of the trials so far.
        output: folder of the search; `saved/tune/<model>-<dataset>-<fingerprint>` when None.
        resume: continue the search in that folder.
        fresh: delete the files of an earlier search in the folder.
        allow_unknown: accept keys that no default file defines.
        command: command-line words that repeat the search, for the record.
    """

    trials: int = 16
    search: str | Path | None = None
    resources: str = ""
    address: str | None = None
    algorithm: str = "random"
    scheduler: str = "asha"
    grace: int | None = None
    reduction: float = 3
    output: str | Path | None = None
    resume: bool = False
    fresh: bool = False
    allow_unknown: bool = False
    command: Sequence[str] = ()


def tune(
    model: str,
    dataset: str,
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    options: Options | None = None,
) -> Sweep:
    """Search for good hyper-parameters on validation, then test the best trial once.

    The folder gets `best.yaml` (for `--config_files`), `trials.csv`, `parallel.png`, `time.png`,
    `result.json`, `sweep.json` (the settings), `ledger.jsonl` (all events) and one run folder per
    trial. A kill loses only the epochs in progress; `resume` continues.

    Args:
        model, dataset, config_files: as `experiment.run`.
        overrides: typed values for all trials; a key given here is not searched.
        options: of the search.

    Raises:
        UserError: bad configuration, search space, data or folder; Ray is missing or too old; no
            trial reached an evaluated epoch.
    """
    options = options or Options()
    if isinstance(config_files, str | Path):  # one path, not its letters
        config_files = [config_files]
    overrides = dict(overrides or {})
    require_ray(options.address)
    asked = {name: getattr(options, name) for name in TUNE.rows}
    refuse(TUNE, asked, {name: getattr(Options(), name) for name in TUNE.rows})
    base = Config(
        model, dataset, config_files, {**overrides, "device": "cpu"}, options.allow_unknown
    )
    space, space_file = read_space(model, options.search)
    space = {key: domain for key, domain in space.items() if key not in overrides}
    space = without_idle(space, space_file, base, is_own=options.search is not None)
    check_space(space, space_file, base, config_files, options.allow_unknown)
    if options.grace is not None and options.grace > base["epochs"]:
        raise UserError(
            f"--grace={options.grace}: more than the {base['epochs']} epochs of a trial"
        )
    grace = max(1, base["epochs"] // 10) if options.grace is None else options.grace
    settings = {
        "model": model,
        "dataset": dataset,
        "config": {k: v for k, v in comparable(base).items() if k not in space},
        "search": {key: domain.plain() for key, domain in space.items()},
        "algorithm": options.algorithm,
        "scheduler": options.scheduler,
        "grace": grace,
        "reduction": options.reduction,
        "data_fingerprint": inputs_fingerprint(base),
    }
    folder = _folder(base, settings, options.output).absolute()
    engine = parse_engine(options.resources, options.address, overrides.get("device", "auto"))
    task = Task(
        model,
        dataset,
        tuple(str(Path(path).resolve()) for path in config_files),
        {key: value for key, value in overrides.items() if key != "device"},
        options.allow_unknown,
        folder,
        os.getcwd(),
        threads=overrides.get("threads") or max(1, int(engine.cpu)),
        device="cuda" if engine.gpu else "cpu",
    )
    metric, bigger = base["valid_metric"].lower(), bool(base["valid_metric_bigger"])
    judge = Judge(
        options.scheduler,
        metric,
        bigger,
        epochs=base["epochs"],
        grace=grace,
        reduction=options.reduction,
    )
    suggester = _suggester(options.algorithm, space, base["seed"], task, metric, bigger)
    suggester.suggest(0) if options.algorithm == "random" else None  # an invalid one ends it here

    _refuse_other(folder, settings, options)
    with claimed(folder, SEARCH, keep=["ledger.jsonl"]):
        if options.fresh:
            clear(folder, SEARCH)
        _refuse_other(folder, settings, options)  # another process may have written it
        write_json(folder / "sweep.json", {**settings, "command": shlex.join(options.command)})
        ledger = Ledger(folder / "ledger.jsonl")
        _take_up(ledger, judge, suggester)
        if _has_work(ledger.trials(), options.trials):
            watch = Watch(ledger, metric, bigger, base["epochs"], options.trials)
            with ray_running(engine, folder) as storage, watch:
                run_trials(task, engine, ledger, suggester, judge, options.trials, storage)
        return _finish(folder, ledger.trials(), space, task, metric, bigger)


def _folder(config: Config, settings: Mapping[str, Any], output: str | Path | None) -> Path:
    if output:
        return Path(output)
    name = f"{config['model']}-{config['dataset']}-{fingerprint(settings)[:10]}"
    return Path(config["checkpoint_dir"]) / "tune" / name


def _suggester(
    algorithm: str, space: Space, seed: int, task: Task, metric: str, bigger: bool
) -> Suggester:
    def check(params: Mapping[str, Any]) -> None:
        task.config(params, device="cpu")  # the driver may have no GPU

    if algorithm == "random":
        return RandomSuggester(space, seed, check)
    return OptunaSuggester(space, seed, check, metric, bigger)


def _refuse_other(folder: Path, settings: Mapping[str, Any], options: Options) -> None:
    """Raise if the folder belongs to another search, or has none to resume."""
    refuse_foreign(folder, SEARCH)
    path = folder / "sweep.json"
    if options.fresh:
        return
    if not os.path.lexists(path):
        if os.path.lexists(folder / "ledger.jsonl"):
            raise UserError(f"{path}: no such file; {_FRESH}")
        if options.resume:
            raise UserError(f"{folder}: no search to resume (no sweep.json)")
        return
    keys = {"model": str, "dataset": str, "config": dict, "search": dict, "command": str}
    theirs = read_json(path, keys, _FRESH)
    mine, theirs = _flat(settings), _flat(theirs)
    theirs.pop("command")
    differing = sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k))
    if differing:
        shown = ", ".join(f"{k} ({theirs.get(k)!r}, now {mine.get(k)!r})" for k in differing)
        raise UserError(
            f"{folder}: belongs to another search: {shown}; choose another --output, or {_FRESH}"
        )
    # If Ray did not start, no trial was begun.
    if not options.resume and Ledger(folder / "ledger.jsonl").trials():
        raise UserError(
            f"{folder}: a search was begun here; --resume goes on with it, --fresh starts anew"
        )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    parts = {f"{k}.{kk}": v for k in ("config", "search") for kk, v in settings[k].items()}
    return {**{k: v for k, v in settings.items() if k not in ("config", "search")}, **parts}


def _take_up(ledger: Ledger, judge: Judge, suggester: Suggester) -> None:
    """Restore judge and suggester to the state of a killed search; retry failed trials."""
    ledger.mend()
    judge.replay(ledger.events())
    for trial in ledger.trials():
        if trial.status == FAILED:
            ledger.append("again", trial.index)
    for trial in ledger.trials():
        suggester.recall(trial)


def _has_work(trials: Sequence[Trial], wanted: int) -> bool:
    return len(trials) < wanted or not all(trial.is_over for trial in trials)


def _finish(
    folder: Path, trials: list[Trial], space: Space, task: Task, metric: str, bigger: bool
) -> Sweep:
    """Choose the best trial on validation, write the result files, and test that trial."""
    write_csv(folder / "trials.csv", trials, metric, bigger)
    best = best_trial(trials, metric, bigger)
    if best is None:
        reason = next((trial.message for trial in trials if trial.message), "none was started")
        raise UserError(f"{folder}: no trial came to an evaluated epoch; the first: {reason}")
    write_page(folder, space, trials, metric, bigger, f"{task.model} on {task.dataset}")
    write_text(folder / "best.yaml", _best_yaml(folder, best, task, metric, bigger))
    # The only use of the test set, by the chosen trial. If that trial was stopped early, it is
    # first trained to its end.
    overrides = task.trial_overrides(best.params)
    if best.status == STOPPED:
        say(f"trial {best.index} is the best, though stopped early: training it to its end")
    if not torch.cuda.is_available():
        overrides["device"] = "cpu"  # trials ran on a cluster's GPUs
    done = run(
        task.model,
        task.dataset,
        task.files,
        overrides,
        output=task.trial_folder(best.index),
        allow_unknown=task.allow_unknown,
        allow_idle=True,  # a switch may have been searched
    )
    write_json(folder / "result.json", done.result)
    return Sweep(folder, trials, best, done.result, metric)


def _best_yaml(folder: Path, best: Trial, task: Task, metric: str, bigger: bool) -> str:
    """Return a YAML file that repeats the best trial when given as `--config_files`."""
    given: dict[str, Any] = {}
    for path in task.files:
        given.update(read_yaml(path))
    given.update(task.overrides)
    # The next run chooses its own folder and hardware.
    kept = comparable(task.config(best.params, device="cpu")).keys() - {"model", "dataset"}
    given = {key: value for key, value in given.items() if key in kept - best.params.keys()}
    value = best.best(metric, bigger)
    words = shlex.join(
        [
            "recbole_intent",
            f"--model={task.model}",
            f"--dataset={task.dataset}",
            f"--config_files={folder / 'best.yaml'}",
        ]
    )
    about = (
        f"{task.model} on {task.dataset}: trial {best.index}, the best by validation, "
        f"{metric} {value['valid'][metric]:.4f} in epoch {value['epoch']}."
    )
    # A line break in a name would end the comment.
    header = "".join(f"# {printable(line)}\n" for line in (about, words))
    text = yaml.safe_dump(dict(best.params), sort_keys=False, allow_unicode=True)
    if given:
        text += "# given to all trials\n"
        text += yaml.safe_dump(given, sort_keys=False, allow_unicode=True)
    return header + text
