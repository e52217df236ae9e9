"""Builds the loaders of training, validation and test from a configuration."""

import numpy as np
from recbole.data.dataset import Dataset
from recbole.data.utils import get_dataloader
from recbole.sampler import RepeatableSampler, Sampler
from recbole.sampler.sampler import AbstractSampler
from recbole.utils import ModelType, init_seed

from recbole_intent.config.config import Config
from recbole_intent.data.loading.candidates import with_candidates
from recbole_intent.data.loading.checked_dataset import (
    CheckedDataset,
    CheckedSequentialDataset,
)
from recbole_intent.data.loading.counts import DataCounts
from recbole_intent.data.loading.inputs import Inputs
from recbole_intent.data.loading.loader import RankingLoader, SequenceTrainLoader
from recbole_intent.data.loading.pre_split import (
    PaddedPreSplitDataset,
    PreSplitDataset,
)
from recbole_intent.data.loading.sequences import IndexedSequentialDataset
from recbole_intent.data.loading.session_split import PaddedSessionDataset, split_path
from recbole_intent.data.loading.split_data import Parts, SplitData
from recbole_intent.utils.errors import UserError

_NOISE_KEYS = {"ratio", "kind", "where", "seed"}


def read_parts(config: Config, inputs: Inputs | None = None) -> Parts:
    """Read and split the dataset of a configuration.

    Only this function decides which interactions are training, validation and test: runs batch
    these splits, and `enrich` reads its training interactions from them
    (`training_interactions.py`).

    Args:
        config: configuration of the run.
        inputs: its files, if they are checked already.

    Raises:
        UserError: the dataset is not prepared, its files are not usable, or a split is empty.
    """
    inputs = inputs or Inputs.of(config)
    is_sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    _check_protocol(config, is_sequential)
    if config["eval_args"]["order"] == "RO":
        # A random order depends only on the seed, regardless of earlier draws in this process.
        init_seed(config["seed"], config["reproducibility"])
    try:
        dataset = _dataset_class(config, is_sequential)(config)
        train, valid, test = dataset.build()
    except (ValueError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        # RecBole's message for an unknown filter, a missing column …
        raise UserError(f"dataset {config['dataset']}: {' '.join(str(error).split())}") from error
    for name, split in (("training", train), ("validation", valid), ("test", test)):
        if len(split.inter_feat) == 0:
            raise UserError(
                f"dataset {config['dataset']}: the {name} split is empty; {_wanted_of_data(config)}"
            )
    indexed = isinstance(dataset, IndexedSequentialDataset)
    return Parts(inputs, dataset, train, valid, test, indexed)


def _negative_sampler(config: Config, train: Dataset) -> AbstractSampler | None:
    """RecBole's sampler of training negatives, restricted to the training split.

    RecBole's `create_samplers` counts popularity over all splits, including the test set.
    """
    args = config["train_neg_sample_args"]
    if args["distribution"] == "none":
        return None
    kind = RepeatableSampler if config["repeatable"] else Sampler
    try:
        sampler = kind(["train"], train, args["distribution"], args["alpha"])
    except (ValueError, NotImplementedError) as error:
        raise UserError(f"train_neg_sample_args: {' '.join(str(error).split())}") from error
    return sampler.set_phase("train")


def load_data(
    config: Config, shares_passes: bool = False, inputs: Inputs | None = None
) -> SplitData:
    """Read, split and batch the dataset of a configuration.

    Args:
        config: configuration of the run.
        shares_passes: the model may be trained on shared batches (see `NextItemMixin`).
        inputs: its files, if they are checked already.

    Raises:
        UserError: the dataset is not prepared, or its files are not usable.
    """
    parts = read_parts(config, inputs)
    train, valid, test, indexed = parts.train, parts.valid, parts.test, parts.is_indexed
    sampler = _negative_sampler(config, train)
    noise = noise_of(config)
    if noise and not indexed:
        raise UserError("noise: needs a sequential model with fast_sequences: True")
    noisy = {"train": train, "valid": valid, "test": test}
    for name in ("train", "test"):
        if noise and noise["where"] in (name, "both"):
            noisy[name] = noisy[name].with_noise(noise["ratio"], noise["kind"], noise["seed"])

    spec = config.spec
    if indexed:
        loader = SequenceTrainLoader(
            config,
            noisy["train"],
            sampler,
            trim=spec.trim,
            shares=shares_passes,
            shuffle=config["shuffle"],
        )
    else:
        loader = get_dataloader(config, "train")(config, train, sampler, shuffle=config["shuffle"])
    ranking = {
        name: RankingLoader(
            noisy[name],
            config["eval_batch_size"],
            trim=spec.trim,
            history=_history(config, split, earlier) if config["mask_history"] else None,
            by_sample=_brings_histories(split),
        )
        for name, split, earlier in (("valid", valid, [train]), ("test", test, [train, valid]))
    }
    popularity = np.bincount(train.inter_feat[train.iid_field], minlength=train.item_num)
    for each in ranking.values():
        each.popularity = popularity
    data = SplitData(
        dataset=parts.dataset,
        train_dataset=noisy["train"],
        train=loader,
        valid=ranking["valid"],
        test=ranking["test"],
        fingerprint=parts.inputs.data_fingerprint,
        counts=DataCounts.of(parts.dataset, (train, valid, test)),
    )
    return with_candidates(config, data) if config["task"] == "direct" else data


def _dataset_class(config: Config, is_sequential: bool) -> type[Dataset]:
    if not is_sequential:
        return CheckedDataset
    fast = config["fast_sequences"]
    if config["benchmark_filename"]:
        return PreSplitDataset if fast else PaddedPreSplitDataset
    if fast:
        return IndexedSequentialDataset
    return PaddedSessionDataset if config["session_split"] else CheckedSequentialDataset


def _wanted_of_data(config: Config) -> str:
    if config["session_split"]:
        return f"{split_path(config)} has to name sessions of two items or more for each part"
    if config["benchmark_filename"]:
        return "its file has to hold items of users who have an earlier one"
    if "LS" in config["eval_args"]["split"]:
        least = 4 if config["MODEL_TYPE"] == ModelType.SEQUENTIAL else 3
        return f"leave-one-out needs users with at least {least} interactions (prepare --k_core=5)"
    return f"eval_args: split: {config['eval_args']['split']} needs more data, or larger shares"


def _history(config: Config, split: Dataset, earlier: list[Dataset]):
    """Sparse user x item matrix (CSR) of the earlier items of a split's users.

    Each session is in a single split, so its own items are used; otherwise those of earlier splits.
    """
    if _brings_histories(split):
        return split.history_matrix(by_sample=True)
    if config["session_split"]:
        return split.history_matrix()
    return sum(other.inter_matrix(form="csr") for other in earlier).tocsr()


def _brings_histories(split: Dataset) -> bool:
    """Whether the rows are whole samples, which contain all that is known of a user."""
    return isinstance(split, PreSplitDataset) and split.holds_rows


def _check_protocol(config: Config, is_sequential: bool) -> None:
    """Reject RecBole options that this package does not support."""
    args = config["eval_args"]
    if set(args["mode"].values()) != {"full"}:
        raise UserError(
            f"eval_args: mode: {args['mode']}; only full, a ranking of all items, or --task=direct"
        )
    if is_sequential and args["order"] != "TO":
        raise UserError(f"eval_args: order: {args['order']!r}; a sequential model needs TO (time)")
    if config["session_split"] not in (None, True, False):
        raise UserError(f"session_split: {config['session_split']!r} is neither True nor False")
    if config["session_split"] and not is_sequential:
        raise UserError(
            f"session_split: {config['model']} learns its users, and sessions of validation and "
            "test are new to it; use a sequential model, or a dataset that is not cut into sessions"
        )
    if config["session_split"] and config["benchmark_filename"]:
        raise UserError("session_split: files of benchmark_filename are split already; use one")
    if config["train_targets"] not in (None, "all") and not (
        is_sequential and config["fast_sequences"]
    ):
        raise UserError("train_targets: needs a sequential model with fast_sequences: True")


def noise_of(config: Config) -> dict | None:
    """The property `noise` with all its entries, or None without noise.

    Raises:
        UserError: not such a mapping, or an invalid entry.
    """
    noise = config["noise"]
    if not noise:
        return None
    if not isinstance(noise, dict) or not set(noise) <= _NOISE_KEYS or "ratio" not in noise:
        raise UserError(
            f"noise: {noise!r} is not a mapping of {', '.join(sorted(_NOISE_KEYS))} with a ratio"
        )
    for name, types in (("ratio", (int, float)), ("seed", int)):
        if not isinstance(noise.get(name, 0), types):
            raise UserError(f"noise: {name}: {noise[name]!r} is not a number")
    noise = {"kind": "replace", "where": "test", "seed": 2020, **noise}
    if noise["where"] not in ("train", "test", "both"):
        raise UserError(f"noise: where: {noise['where']!r} is none of train, test, both")
    return noise
