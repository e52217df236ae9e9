"""From a configuration to the loaders of training, validation and test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.utils import create_samplers, get_dataloader
from recbole.utils import ModelType

from recbole_intent.config import Config
from recbole_intent.data.download import unprepared_message
from recbole_intent.data.loader import RankingLoader, SequenceTrainLoader
from recbole_intent.data.sequences import IndexedSequentialDataset
from recbole_intent.errors import UserError
from recbole_intent.files import file_sha256, fingerprint

_NOISE_KEYS = {"ratio", "kind", "where", "seed"}


@dataclass(frozen=True)
class SplitData:
    """A dataset, split.

    Attributes:
        dataset: the whole, for sizes and names.
        train: batches to train on.
        valid: (user, target) rows to choose the epoch and the hyper-parameters by.
        test: rows to report, touched once.
        fingerprint: SHA-256 of the atomic files that were read.
    """

    dataset: Dataset
    train: Any
    valid: RankingLoader
    test: RankingLoader
    fingerprint: str


def load_data(config: Config, shares_passes: bool = False) -> SplitData:
    """Read, split and batch the dataset of a configuration.

    Args:
        config: of the run.
        shares_passes: the model may be trained on shared batches (see `NextItemMixin`).

    Raises:
        UserError: the dataset is not prepared, or its files are not usable.
    """
    files = check_files(config)
    is_sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    # Files that are already split hold padded rows of their own: RecBole's path reads them.
    indexed = is_sequential and config["fast_sequences"] and not config["benchmark_filename"]
    if indexed:
        dataset = IndexedSequentialDataset(config)
    else:
        dataset = SequentialDataset(config) if is_sequential else Dataset(config)
    train, valid, test = dataset.build()
    for name, split in (("training", train), ("validation", valid), ("test", test)):
        if len(split.inter_feat) == 0:
            raise UserError(
                f"dataset {config['dataset']}: the {name} split is empty; "
                "leave-one-out needs users with at least 4 interactions (prepare --k_core=5)"
            )
    samplers = create_samplers(config, dataset, [train, valid, test])
    noise = _noise(config)
    if noise and not indexed:
        raise UserError("noise: needs a sequential model with fast_sequences: True")
    earlier = {"valid": [train], "test": [train, valid]}
    noisy = {"train": train, "valid": valid, "test": test}
    for name in ("train", "test"):
        if noise and noise["where"] in (name, "both"):
            noisy[name] = noisy[name].with_noise(noise["ratio"], noise["kind"], noise["seed"])

    spec = config.spec
    if indexed:
        loader = SequenceTrainLoader(
            config,
            noisy["train"],
            samplers[0],
            trim=spec.trim,
            shares=shares_passes,
            shuffle=config["shuffle"],
        )
    else:
        loader = get_dataloader(config, "train")(
            config, train, samplers[0], shuffle=config["shuffle"]
        )
    ranking = {
        name: RankingLoader(
            noisy[name],
            config["eval_batch_size"],
            trim=spec.trim,
            earlier=earlier[name] if config["mask_history"] else None,
        )
        for name in ("valid", "test")
    }
    return SplitData(
        dataset=dataset,
        train=loader,
        valid=ranking["valid"],
        test=ranking["test"],
        fingerprint=_fingerprint(files),
    )


def data_fingerprint(config: Config) -> str:
    """SHA-256 of the atomic files that a run with this configuration would read.

    Raises:
        UserError: the dataset is not prepared, or its files are not usable.
    """
    return _fingerprint(check_files(config))


def _fingerprint(files: list[Path]) -> str:
    return fingerprint({path.name: file_sha256(path) for path in files})


def _noise(config: Config) -> dict | None:
    noise = config["noise"]
    if not noise:
        return None
    if not isinstance(noise, dict) or not set(noise) <= _NOISE_KEYS or "ratio" not in noise:
        raise UserError(
            f"noise: {noise!r} is not a mapping of {', '.join(sorted(_NOISE_KEYS))} with a ratio"
        )
    noise = {"kind": "replace", "where": "test", "seed": 2020, **noise}
    if noise["where"] not in ("train", "test", "both"):
        raise UserError(f"noise: where: {noise['where']!r} is none of train, test, both")
    return noise


def check_files(config: Config) -> list[Path]:
    """The atomic files of the dataset, after a look at what RecBole would pass over in silence.

    Raises:
        UserError: the dataset is not prepared, or a file lacks a column, is not UTF-8 ….
    """
    folder, name = Path(config["data_path"]), config["dataset"]
    inter = folder / f"{name}.inter"
    if config["benchmark_filename"]:
        return [folder / f"{name}.{part}.inter" for part in config["benchmark_filename"]]
    if not inter.is_file():
        raise UserError(unprepared_message(name))
    fields = [config["USER_ID_FIELD"], config["ITEM_ID_FIELD"], config["TIME_FIELD"]]
    separator = config["field_separator"]
    try:
        header = pd.read_csv(inter, sep=separator, nrows=0, encoding="utf-8").columns
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{inter}: empty file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{inter}: not UTF-8 (byte {error.start})") from error
    columns = {column.split(":")[0]: column for column in header}
    missing = [field for field in fields if field not in columns]
    if missing:
        raise UserError(f"{inter}: no column {missing[0]!r}; it has {', '.join(columns)}")
    time = columns[config["TIME_FIELD"]]
    try:
        times = pd.to_numeric(
            pd.read_csv(inter, sep=separator, usecols=[time], encoding="utf-8")[time],
            errors="coerce",
        )
    except UnicodeDecodeError as error:
        raise UserError(f"{inter}: not UTF-8 (byte {error.start})") from error
    if len(times) == 0:
        raise UserError(f"{inter}: no interactions below the header")
    if times.isna().any():
        line = int(times.isna().to_numpy().argmax()) + 2
        raise UserError(f"{inter}:{line}: {config['TIME_FIELD']} is not a number")
    others = [folder / f"{name}.{kind}" for kind in ("user", "item")]
    return [inter, *(path for path in others if path.is_file())]
