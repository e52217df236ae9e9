"""Hyper-parameter search: trials of one model, compared on validation; the best is tested once."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from recbole_intent.config.command_keys import TUNE, refuse
from recbole_intent.config.config import Config
from recbole_intent.config.keys import PROTOCOL, with_role
from recbole_intent.config.presets import tuned_path
from recbole_intent.runs.experiment import comparable, inputs_fingerprint, run
from recbole_intent.trainer.callbacks import paths_of
from recbole_intent.tune.ledger import FAILED, STOPPED, Ledger, Trial, best_trial
from recbole_intent.tune.page import write_page
from recbole_intent.tune.rays import (
    Engine,
    Task,
    parse_engine,
    ray_running,
    require_ray,
    run_trials,
)
from recbole_intent.tune.report import Watch, write_csv
from recbole_intent.tune.space import check_space, read_space, without_idle
from recbole_intent.tune.suggest import OptunaSuggester, RandomSuggester
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
        budget: trials and epochs that it was given.
        spent: trials and epochs that it took, as a sentence.
        tuned: path of the file of tuned values that it wrote, or None.
    """

    folder: Path
    trials: list[Trial]
    best: Trial
    result: dict[str, Any]
    metric: str
    budget: "Budget"
    tuned: Path | None

    @property
    def epochs(self) -> int:
        """Epochs trained, with those of the best trial after it had been stopped."""
        extra = self.result["epochs"] - self.best.last_epoch
        return sum(trial.last_epoch for trial in self.trials) + max(0, extra)

    @property
    def minutes(self) -> float:
        """Minutes of training of all trials together, without shared pre-training."""
        return sum(trial.minutes for trial in self.trials)

    @property
    def spent(self) -> str:
        """The budget and what was spent of it, for the report."""
        stopped = sum(trial.status == STOPPED for trial in self.trials)
        return (
            f"budget: {self.budget}; spent: {len(self.trials)} trials ({stopped} stopped early), "
            f"{self.epochs} epochs, {self.minutes:.1f} minutes of training"
        )


@dataclass(frozen=True)
class Budget:
    """What a search may spend.

    Attributes:
        trials: number of trials, >= 1.
        epochs: epochs of a full trial, >= 1; the scheduler or the patience may end it earlier.
    """

    trials: int
    epochs: int

    def __str__(self) -> str:
        return f"{self.trials} trials × {self.epochs} epochs = {self.trials * self.epochs} epochs"


@dataclass(frozen=True)
class Options:
    """Options of a search.

    Attributes:
        trials: number of trials, >= 1; fewer if the space is smaller.
        budget: in place of `trials`: `16x`, or `16x30` for `epochs: 30` too.
        search: file of the search space, or the space; the model's own when None.
        resources: per trial, such as `cpu=1,gpu=0.25`; empty: one CPU, and one GPU if available.
        address: of a Ray cluster; None starts Ray here.
        write_tuned: write the best values to `properties/tuned/<dataset>/<Model>.yaml`, which
            `tuned: True` reads.
        algorithm: random or optuna.
        scheduler: asha, median or none.
        grace: epochs that every trial gets; a tenth of `epochs`, at least 1, if None.
        reduction: asha keeps the best 1/reduction of the trials so far.
        output: folder of the search; `saved/tune/<model>-<dataset>-<fingerprint>` when None.
        resume: continue the search in that folder.
        fresh: delete the files of an earlier search in the folder.
        allow_unknown: accept keys that no default file defines.
        command: command-line words that repeat the search, for the record.
        callbacks: paths `package.module:Class` of classes with hooks (`run`), which each trial
            creates; a trial that is stopped early does not get to `on_run_end`.
    """

    trials: int = 16
    budget: str | None = None
    search: str | Path | Mapping[str, Any] | None = None
    resources: str = ""
    address: str | None = None
    algorithm: str = "random"
    scheduler: str = "asha"
    grace: int | None = None
    reduction: float = 3
    output: str | Path | None = None
    write_tuned: bool = False
    resume: bool = False
    fresh: bool = False
    allow_unknown: bool = False
    command: Sequence[str] = ()
    callbacks: Sequence[str] = ()


def tune(
    model: str,
    dataset: str,
    config_files: Sequence[str | Path] | str | Path = (),
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
    return Search(model, dataset, config_files, overrides, options or Options()).run()


class Search:
    """A search whose settings have all been checked; nothing is written before `run`.

    Args:
        model, dataset, config_files, overrides, options: as `tune`.
        may_begin: with `options.resume`, a folder without a search begins one.

    Attributes:
        budget: trials and epochs that it may spend.
        folder: its folder, absolute.

    Raises:
        UserError: bad configuration, search space or folder; Ray is missing or too old.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        config_files: Sequence[str | Path] | str | Path,
        overrides: Mapping[str, Any] | None,
        options: Options,
        may_begin: bool = False,
    ) -> None:
        if isinstance(config_files, str | Path):  # one path, not its letters
            config_files = [config_files]
        require_ray(options.address)
        given = {name: getattr(options, name) for name in TUNE.rows}
        refuse(TUNE, given, {name: getattr(Options(), name) for name in TUNE.rows})
        options, overrides = _with_budget(options, dict(overrides or {}))
        base = Config(
            model, dataset, config_files, {**overrides, "device": "cpu"}, options.allow_unknown
        )
        if base["tuned"]:
            raise UserError(
                f"{base.where('tuned')}: a search starts from the defaults; leave it out"
            )
        if options.write_tuned and base["preset"]:
            raise UserError(
                f"--write-tuned: tuned values are values over the defaults, not over preset: "
                f"{base['preset']}; leave one of them out"
            )
        space, space_file = read_space(model, options.search)
        space = {key: domain for key, domain in space.items() if key not in overrides}
        self._space = without_idle(space, space_file, base, is_own=options.search is not None)
        check_space(self._space, space_file, base, config_files, options.allow_unknown)
        self.budget = Budget(options.trials, base["epochs"])
        if options.grace is not None and options.grace > self.budget.epochs:
            raise UserError(
                f"--grace={options.grace}: more than the {self.budget.epochs} epochs of a trial"
            )
        default_grace = max(1, self.budget.epochs // 10)
        self._settings: dict[str, Any] = {
            "model": model,
            "dataset": dataset,
            "config": {k: v for k, v in comparable(base).items() if k not in self._space},
            "search": {key: domain.plain() for key, domain in self._space.items()},
            "algorithm": options.algorithm,
            "scheduler": options.scheduler,
            "grace": default_grace if options.grace is None else options.grace,
            "reduction": options.reduction,
            "data_fingerprint": inputs_fingerprint(base),
        }
        self.folder = _folder(base, self._settings, options.output).absolute()
        device = overrides.get("device", "auto")
        self._engine: Engine = parse_engine(options.resources, options.address, device)
        self._task = Task(
            model,
            dataset,
            tuple(str(Path(path).resolve()) for path in config_files),
            {key: value for key, value in overrides.items() if key != "device"},
            options.allow_unknown,
            self.folder,
            os.getcwd(),
            threads=overrides.get("threads") or max(1, int(self._engine.cpu)),
            device="cuda" if self._engine.gpu else "cpu",
            callbacks=paths_of(options.callbacks),
        )
        if may_begin and not os.path.lexists(self.folder / "sweep.json"):
            options = replace(options, resume=False)
        self.options, self._class_name = options, base.final_config_dict["model"]
        self._seed = base["seed"]
        self._metric = base["valid_metric"].lower()
        self._bigger = bool(base["valid_metric_bigger"])
        self._suggester().suggest(0)  # a space of invalid values ends here
        _refuse_other(self.folder, self._settings, options)

    def run(self) -> Sweep:
        """Run the trials that are not over, and test the best.

        Raises:
            UserError: bad data or folder; Ray does not start; no trial reached an evaluated epoch.
        """
        options, folder = self.options, self.folder
        with claimed(folder, SEARCH, keep=["ledger.jsonl"]):
            if options.fresh:
                clear(folder, SEARCH)
            _refuse_other(folder, self._settings, options)  # another process may have written it
            command = shlex.join(options.command)
            write_json(folder / "sweep.json", {**self._settings, "command": command})
            ledger = Ledger(folder / "ledger.jsonl")
            _take_up(ledger)
            trials = ledger.trials()
            if len(trials) < options.trials or not all(trial.is_over for trial in trials):
                self._run_trials(ledger)
            return self._finish(ledger.trials())

    def _run_trials(self, ledger: Ledger) -> None:
        from recbole_intent.tune.adapters import LedgerScheduler, LedgerSearcher, stopping_rule

        metric, bigger, epochs = self._metric, self._bigger, self.budget.epochs
        trials = ledger.trials()
        suggester = self._suggester()
        for trial in trials:
            suggester.recall(trial)
        rule = stopping_rule(
            self.options.scheduler,
            metric,
            bigger,
            epochs=epochs,
            grace=self._settings["grace"],
            reduction=self.options.reduction,
        )
        searcher = LedgerSearcher(ledger, suggester, self.budget.trials)
        scheduler = LedgerScheduler(ledger, rule, metric, epochs)
        limit = max(self.budget.trials, len(trials))
        watch = Watch(ledger, metric, bigger, epochs, limit)
        with ray_running(self._engine, self.folder) as storage, watch:
            run_trials(self._task, self._engine, searcher, scheduler, limit, storage)

    def _suggester(self) -> RandomSuggester:
        def check(params: Mapping[str, Any]) -> None:
            self._task.config(params, device="cpu")  # the driver may have no GPU

        if self.options.algorithm == "random":
            return RandomSuggester(self._space, self._seed, check)
        return OptunaSuggester(self._space, self._seed, check, self._metric, self._bigger)

    def _finish(self, trials: list[Trial]) -> Sweep:
        """Choose the best trial on validation, write the result files, and test that trial."""
        folder, task, metric, bigger = self.folder, self._task, self._metric, self._bigger
        write_csv(folder / "trials.csv", trials, metric, bigger)
        best = best_trial(trials, metric, bigger)
        if best is None:
            reason = next((trial.message for trial in trials if trial.message), "none was started")
            raise UserError(f"{folder}: no trial came to an evaluated epoch; the first: {reason}")
        title = f"{task.model} on {task.dataset}"
        write_page(folder, self._space, trials, metric, bigger, title)
        write_text(folder / "best.yaml", self._best_yaml(best))
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
            callbacks=task.callbacks,
            allow_idle=True,  # a switch may have been searched
        )
        write_json(folder / "result.json", done.result)
        tuned = None
        if self.options.write_tuned:
            tuned = tuned_path(self._class_name, task.dataset)
            tuned.parent.mkdir(parents=True, exist_ok=True)
            write_text(tuned, self._tuned_yaml(best))
        return Sweep(folder, trials, best, done.result, metric, self.budget, tuned)

    def _best_yaml(self, best: Trial) -> str:
        """Return a YAML file that repeats the best trial when given as `--config_files`."""
        words = self._run_words(f"--config_files={self.folder / 'best.yaml'}")
        text = self._header(best, words) + _yaml(best.params)
        given = self._given(best)
        return text + (f"# given to all trials\n{_yaml(given)}" if given else "")

    def _tuned_yaml(self, best: Trial) -> str:
        """Return the file of `--tuned`: no protocol, which is the next run's to choose."""
        protocol = with_role(PROTOCOL)
        given = {key: value for key, value in self._given(best).items() if key not in protocol}
        spent = f"Chosen from a budget of {self.budget}, {self.options.algorithm}."
        return self._header(best, spent, self._run_words("--tuned")) + _yaml(
            {**given, **best.params}
        )

    def _given(self, best: Trial) -> dict[str, Any]:
        """The user's values for all trials, without those of a folder or the hardware."""
        given: dict[str, Any] = {}
        for path in self._task.files:
            given.update(read_yaml(path))
        given.update(self._task.overrides)
        config = self._task.config(best.params, device="cpu")
        kept = comparable(config).keys() - {"model", "dataset"} - best.params.keys()
        return {key: value for key, value in given.items() if key in kept}

    def _run_words(self, word: str) -> str:
        names = (f"--model={self._task.model}", f"--dataset={self._task.dataset}")
        return shlex.join(["recbole_intent", *names, word])

    def _header(self, best: Trial, *lines: str) -> str:
        record = best.best(self._metric, self._bigger)
        assert record is not None  # the best trial has an evaluated epoch
        about = (
            f"{self._task.model} on {self._task.dataset}: trial {best.index}, the best by "
            f"validation, {self._metric} {record['valid'][self._metric]:.4f} in epoch "
            f"{record['epoch']}."
        )
        # A line break in a name would end the comment.
        return "".join(f"# {printable(line)}\n" for line in (about, *lines))


def _yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def _with_budget(options: Options, overrides: dict[str, Any]) -> tuple[Options, dict[str, Any]]:
    """Translate `budget` into a number of trials and `epochs`."""
    if options.budget is None:
        return options, overrides
    trials, _, epochs = options.budget.partition("x")
    if options.trials not in (Options.trials, int(trials)):
        raise UserError(f"--trials={options.trials}: --budget={options.budget} says how many")
    if epochs and overrides.get("epochs", int(epochs)) != int(epochs):
        raise UserError(f"--epochs={overrides['epochs']}: --budget={options.budget} says how many")
    overrides = {**overrides, "epochs": int(epochs)} if epochs else overrides
    return replace(options, trials=int(trials), budget=None), overrides


def _folder(config: Config, settings: Mapping[str, Any], output: str | Path | None) -> Path:
    if output:
        return Path(output)
    name = f"{config['model']}-{config['dataset']}-{fingerprint(settings)[:10]}"
    return Path(config["checkpoint_dir"]) / "tune" / name


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
            f"{folder}: holds a search that has begun; --resume continues it, --fresh overwrites it"
        )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    parts = {f"{k}.{kk}": v for k in ("config", "search") for kk, v in settings[k].items()}
    return {**{k: v for k, v in settings.items() if k not in ("config", "search")}, **parts}


def _take_up(ledger: Ledger) -> None:
    """Make the ledger of a killed search ready to continue; failed trials are tried again."""
    ledger.drop_unfinished_line()
    for trial in ledger.trials():
        if trial.status == FAILED:
            ledger.append("again", trial.index)
