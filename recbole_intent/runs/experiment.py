"""A single run: one model on one dataset with one seed, from configuration to result."""

import logging
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from recbole.data.dataset import Dataset
from recbole.utils import FeatureType, init_seed

from recbole_intent.config.config import Config
from recbole_intent.config.keys import in_fingerprint
from recbole_intent.data.loading.inputs import Inputs
from recbole_intent.data.loading.session_split import warn_of_user_vectors
from recbole_intent.data.loading.split import load_data
from recbole_intent.data.loading.split_data import SplitData
from recbole_intent.data.loading.training_interactions import training_split
from recbole_intent.modeling.intent_control import set_intent_control
from recbole_intent.modeling.item_start import start_items
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.runs.outcome import Run
from recbole_intent.runs.result import TRAIN_AGAIN, read_result
from recbole_intent.runs.trackers import trackers_of
from recbole_intent.trainer import distributed
from recbole_intent.trainer.base import LAST, Trainer
from recbole_intent.trainer.callbacks import Callbacks
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint, write_json, write_text
from recbole_intent.utils.library_errors import library_mistakes
from recbole_intent.utils.memory import keep_freed_memory
from recbole_intent.utils.own_files import damaged, read_json, read_mapping
from recbole_intent.utils.ownership import RUN, claimed, clear, refuse_foreign
from recbole_intent.utils.precision import set_matmul_precision, warn_of_slow_bf16
from recbole_intent.utils.printable import PrintableFormatter
from recbole_intent.utils.version import __version__

_FRESH = "use --fresh to overwrite the run"


def comparable(config: Config) -> dict[str, Any]:
    """Return the configuration without keys that do not affect the computation."""
    return in_fingerprint(config.plain(), config.key_table.rows)


def run_folder(config: Config) -> Path:
    """`saved/<model>-<dataset>-<seed>-<fingerprint>`: one folder per configuration."""
    digest = fingerprint(comparable(config))[:10]
    name = f"{config['model']}-{config['dataset']}-{config['seed']}-{digest}"
    return Path(config["checkpoint_dir"]) / name


def run(
    model: str,
    dataset: str,
    config_files: Sequence[str | Path] | str | Path = (),
    overrides: Mapping[str, Any] | None = None,
    *,
    output: str | Path | None = None,
    fresh: bool = False,
    allow_unknown: bool = False,
    allow_idle: bool = False,
    callbacks: Sequence[Any] = (),
) -> Run:
    """Train a model, choose its epoch on validation, test it once, and store the results.

    Calling it again continues an interrupted run and reports a finished one. Under torchrun all
    processes train together and return the same result.

    Args:
        model: registered name, or `package.module:Class`.
        dataset: name of a prepared dataset.
        config_files: the user's YAML files; later ones win.
        overrides: typed values that override all files.
        output: the run's folder; `run_folder` when None.
        fresh: delete the files of an earlier run in the folder.
        allow_unknown: accept keys that no default file defines.
        allow_idle: accept keys without effect, for one of several runs that share settings.
        callbacks: objects, or paths of classes, with hooks (`trainer/callbacks.py`); not called
            for a finished run, which is only read.

    Raises:
        UserError: bad configuration, data or folder.
    """
    config = Config(model, dataset, config_files, overrides, allow_unknown)
    if not allow_idle:
        config.refuse_idle()
    distributed.join(config)
    folder = Path(output) if output else run_folder(config)
    inputs = Inputs.of(config)
    data_digest = inputs.fingerprint
    distributed.agree(data_digest, f"dataset {dataset}")
    refuse_foreign(folder, RUN)
    if not fresh:
        _refuse_other(folder, config, data_digest)
    # A finished run is only read, so its folder may be read-only.
    result = distributed.on_main(lambda: None if fresh else _result_in(folder))
    if result is not None:
        return Run(folder, result, True)
    # Before touching the folder, so that an error in configuration or data leaves nothing.
    hooks = Callbacks([*trackers_of(config), *callbacks])
    trainer, data = build(config, folder, inputs)
    trainer.callbacks = hooks
    with distributed.main_alone(claimed(folder, RUN, keep=[LAST])):
        result = distributed.on_main(lambda: _take(folder, config, data_digest, fresh))
        if result is not None:  # another process has finished it
            return Run(folder, result, True)
        with distributed.main_alone(_log_to(folder / "log")):
            with _watched(config, folder, trainer) as end:
                end["result"] = _train_and_test(config, folder, trainer, data)
            return Run(folder, end["result"], False)


def _watched(
    config: Config, folder: Path, trainer: Trainer
) -> AbstractContextManager[dict[str, Any]]:
    """Tell the callbacks of the run's start, and of its end as far as it is filled in."""
    return trainer.callbacks.of_run(
        model=config["model"],
        dataset=config["dataset"],
        seed=config["seed"],
        folder=str(folder),
        config=config.plain(),
        is_resumed=(folder / LAST).is_file(),
    )


def finished_run(config: Config, folder: Path) -> Run:
    """Return a finished run from its folder.

    Raises:
        UserError: not finished, or of another configuration or other data.
    """
    refuse_foreign(folder, RUN)
    _refuse_other(folder, config, inputs_fingerprint(config))
    return Run(folder, read_result(folder), True)


def _take(folder: Path, config: Config, data_digest: str, fresh: bool) -> dict[str, Any] | None:
    """Resume or restart in a claimed folder; return the result if the run is finished."""
    if fresh:
        clear(folder, RUN)
    _refuse_other(folder, config, data_digest)  # another process may have written it
    result = _result_in(folder)
    if result is None:
        _note(folder, config, data_digest)
    return result


def _result_in(folder: Path) -> dict[str, Any] | None:
    return read_result(folder) if os.path.lexists(folder / "result.json") else None


def train(
    config: Config,
    folder: Path,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    callbacks: Sequence[Any] = (),
) -> None:
    """Train a trial of a search without testing it; `run` can test the folder later.

    Args:
        config: the run's configuration.
        folder: the run's folder; an interrupted run continues, and the call waits for a process
            that works in the folder.
        on_epoch: as `Trainer.fit`.
        callbacks: as `run`.

    Raises:
        UserError: bad data, or a folder of another configuration.
    """
    inputs = Inputs.of(config)
    with claimed(folder, RUN, keep=[LAST], wait=True):
        _refuse_other(folder, config, inputs.fingerprint)
        trainer, data = build(config, folder, inputs)
        trainer.callbacks = Callbacks([*trackers_of(config), *callbacks])
        _note(folder, config, inputs.fingerprint)
        named = library_mistakes(f"model {config['model']}")
        with _log_to(folder / "log"), _watched(config, folder, trainer), named:
            logging.getLogger("recbole_intent").info("%s: %s", config["dataset"], data.counts)
            trainer.fit(data.train, data.valid, config["show_progress"], on_epoch)


def build(
    config: Config, folder: Path | None = None, inputs: Inputs | None = None
) -> tuple[Any, SplitData]:
    """Seed, read the data, build the model, and return its trainer and the data.

    Args:
        config: configuration of the run.
        folder: where it will be trained; None to evaluate it.
        inputs: its files, if they are checked already.
    """
    if config["threads"]:
        torch.set_num_threads(config["threads"])
    if config["fast_sequences"] and torch.device(config["device"]).type == "cpu":
        keep_freed_memory()
    device = torch.device(config["device"])
    set_matmul_precision(config["matmul_precision"], device)
    if config["precision"] == "bf16":
        warn_of_slow_bf16("precision: bf16", device)
    init_seed(config["seed"], config["reproducibility"])
    model_class = config.spec.class_for(config["fast_sequences"], config["reference"])
    shares = issubclass(model_class, NextItemMixin) and model_class.shares_passes(config)
    with library_mistakes(f"dataset {config['dataset']}"):
        data = load_data(config, shares, inputs)
    _check_features(config, data.dataset)
    _check_topk(config, data)
    init_seed(config["seed"], config["reproducibility"])  # weights do not depend on the split
    with library_mistakes(f"model {config['model']}"):
        model = model_class(config, data.train_dataset)
        item_start = start_items(model, config, data.dataset)
        model = model.to(config["device"])
        set_intent_control(model, config)
        trainer = config.spec.trainer_class()(config, model, folder)
        trainer.item_start = item_start
        if folder is not None:  # it will be trained
            trainer.check_data(data.train)
    if config["session_split"]:
        warn_of_user_vectors(model, data.dataset)
    return trainer, data


def _check_topk(config: Config, data: SplitData) -> None:
    """Raise UserError if the user asks for lists as long as all that is ranked."""
    count, ranked = data.dataset.item_num - 1, "items of the catalogue"
    if data.candidates:
        count, ranked = data.candidates["negatives"] + 1, "candidates"
    for k in config["topk"] if config.is_changed("topk") else ():
        if k > count:
            raise UserError(
                f"{config.where('topk')}: {k} is more than the {count} {ranked}: every metric of "
                "such a list would count all targets as hits"
            )


def _check_features(config: Config, dataset: Dataset) -> None:
    """Raise UserError if a selected float column is not in `numerical_features`.

    RecBole's feature models skip such a column, and fail if no other is left.
    """
    numerical = config["numerical_features"] or []
    for name in config["selected_features"] or []:
        if dataset.field2type.get(name) == FeatureType.FLOAT and name not in numerical:
            raise UserError(
                f"selected_features: {name} is a number (float) in the dataset; also give "
                f"--numerical_features=[{name}], or make it a token"
            )


def _train_and_test(
    config: Config, folder: Path, trainer: Trainer, data: SplitData
) -> dict[str, Any]:
    logger = logging.getLogger("recbole_intent")
    logger.info(
        "%s on %s, seed %d, in %s%s",
        config["model"],
        config["dataset"],
        config["seed"],
        folder,
        f", {distributed.count()} processes" if distributed.count() > 1 else "",
    )
    logger.info("%s: %s", config["dataset"], data.counts)
    with library_mistakes(f"model {config['model']}"):
        trainer.fit(data.train, data.valid, show_progress=config["show_progress"])
    trainer.load_best()
    # The only test, after every choice; seeded for models with random scores.
    init_seed(config["seed"], config["reproducibility"])
    ranks = trainer.rank(data.test)
    test = trainer.metrics(ranks)
    trainer.callbacks.call(
        "on_evaluation_end", split="test", epoch=trainer.best_epoch + 1, metrics=test
    )
    result = {
        "model": config["model"],
        "dataset": config["dataset"],
        "seed": config["seed"],
        "valid": trainer.best_valid,
        "test": test,
        "best_epoch": trainer.best_epoch + 1,
        "epochs": trainer.next_epoch,
        "seconds": round(trainer.seconds, 3),
        "pretraining_seconds": round(trainer.pretraining_seconds, 3),
        "peak_memory_mib": round(trainer.peak_memory_mib, 1),
        "processes": distributed.count(),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "task": config["task"],
        "candidates": data.candidates,
        "mask_history": bool(config["mask_history"]),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "approximations": trainer.approximations(data.train),
        "preset": config["preset"],
        "tuned": config["tuned"],
        "deviations": trainer.deviations(data.train),
        "item_vectors": trainer.item_start,
        "noise": config["noise"] or None,
        "data": data.counts.as_dict(),
        "data_fingerprint": data.fingerprint,
        "split": training_split(config, data.train_dataset).plain(),
        "config_fingerprint": fingerprint(comparable(config)),
        "versions": _versions(),
        "commit": _commit(),
        "history": trainer.history,
    }

    def keep() -> dict[str, Any]:
        ranks.save(folder / "ranks.npz")
        write_json(folder / "result.json", result)
        return result

    return distributed.on_main(keep)


def inputs_fingerprint(config: Config) -> str:
    """Return the SHA-256 of all files that a run reads: the dataset, and weights given by path."""
    return Inputs.of(config).fingerprint


def _refuse_other(folder: Path, config: Config, data_digest: str) -> None:
    """Raise if the folder belongs to another configuration or was started on other data."""
    mine, theirs = comparable(config), _read_claim(folder)
    if theirs is None:
        return
    theirs = in_fingerprint(theirs, config.key_table.rows)
    differing = sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k))
    if differing:
        shown = ", ".join(f"{k} ({theirs.get(k)!r}, now {mine.get(k)!r})" for k in differing)
        raise UserError(
            f"{folder}: belongs to another configuration: {shown}; "
            "choose another --output, or use --fresh to overwrite the run"
        )
    # A checkpoint must not continue on other interactions than those it started with.
    refuse_other_data(folder, data_digest, _FRESH)


def refuse_other_data(folder: Path, data_digest: str, remedy: str = TRAIN_AGAIN) -> None:
    """Raise UserError if the run in a folder was started on other data.

    Args:
        folder: the run's folder.
        data_digest: fingerprint of the current data, by `inputs_fingerprint`.
        remedy: advice besides restoring the old files.
    """
    begun = read_json(folder / "data.json", {"fingerprint": str}, remedy)
    if begun["fingerprint"] != data_digest:
        raise UserError(
            f"{folder}: was begun on other data (the files that it read have changed since); "
            f"put them back, or {remedy}"
        )


def _read_claim(folder: Path) -> dict[str, Any] | None:
    path = folder / "config.yaml"
    if not os.path.lexists(path):
        if os.path.lexists(folder / LAST):  # its configuration is unknown
            raise damaged(path, "no such file", _FRESH)
        return None
    return read_mapping(path, {"model": str, "dataset": str}, _FRESH)


def _note(folder: Path, config: Config, data_digest: str) -> None:
    """Write the configuration and data fingerprint into a claimed folder, if missing."""
    if not (folder / "config.yaml").is_file():
        write_json(folder / "data.json", {"fingerprint": data_digest})
        text = yaml.safe_dump(config.plain(), sort_keys=True, allow_unicode=True)
        write_text(folder / "config.yaml", text)


def _versions() -> dict[str, str]:
    names = ("recbole", "torch", "numpy", "pandas", "scipy")
    return {
        "recbole_intent": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def _commit() -> str | None:
    """Return the commit of this package's checkout, with `+` if it has changes."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
        status = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None  # no git, or no commit yet: null in the result
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")


class _RunLog(logging.FileHandler):
    """A log file that ignores write failures: a full disk also shows in the run's other files."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore the failure."""


class _log_to:
    """Also write the package's log, from INFO on, to a file of the run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        try:
            self.handler = _RunLog(self.path, encoding="utf-8")
        except OSError as error:
            why = error.strerror or error
            raise UserError(f"{self.path}: cannot be written: {why}") from error
        self.handler.setFormatter(PrintableFormatter("%(asctime)s %(message)s"))
        logger = logging.getLogger("recbole_intent")
        logger.addHandler(self.handler)
        self.level = logger.level
        logger.setLevel(logging.INFO)

    def __exit__(self, *exception) -> None:
        if exception[1] is not None:  # to the file only: the caller reports it
            record = logging.LogRecord(
                "recbole_intent", logging.ERROR, __file__, 0, "stopped: %r", (exception[1],), None
            )
            self.handler.handle(record)
        logger = logging.getLogger("recbole_intent")
        logger.setLevel(self.level)
        logger.removeHandler(self.handler)
        with suppress(OSError):
            self.handler.close()
