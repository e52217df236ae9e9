"""Training interactions of a dataset, the only interactions that `enrich` reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.config.config import Config
from recbole_intent.data.formats.record_files import read_manifest
from recbole_intent.data.formats.seals import hash_inputs
from recbole_intent.data.loading.split import read_parts
from recbole_intent.data.loading.training_interactions import (
    Split,
    TrainingHistories,
    definition,
    enriched_folder,
    training_histories,
)
from recbole_intent.utils.errors import UserError


@dataclass(frozen=True)
class TrainingData:
    """The training interactions of a dataset and their origin.

    Attributes:
        config: configuration of a run of the model that the files are for.
        source: folder of the atomic files.
        folder: default folder for files made from this split.
        histories: histories of all users of the dataset; empty for users without training data.
        catalogue: ids of all items of the dataset, sorted so that their order leaks nothing.
        split: the split and the fingerprint of the histories.
        inputs: name of each atomic file -> its SHA-256, including the .item file if present.
    """

    config: Config
    source: Path
    folder: Path
    histories: TrainingHistories
    catalogue: list[str]
    split: Split
    inputs: dict[str, str]


def read_training_data(
    model: str,
    dataset: str,
    data_path: str | Path = "dataset",
    given: Mapping[str, Any] | None = None,
) -> TrainingData:
    """Read and split a dataset exactly as a run does, and keep only the training part.

    Args:
        model: model that the files are for; its runs use this split.
        dataset: name of the dataset.
        data_path: parent folder of datasets.
        given: values of the run keys that define the split, such as `eval_args`.

    Raises:
        UserError: as for a run on these data with these values.
    """
    config = Config(model, dataset, config_dict={**(given or {}), "data_path": str(data_path)})
    source = Path(data_path) / dataset
    if Path(config["data_path"]).resolve() != source.resolve():  # RecBole ships some datasets
        raise UserError(f"{source / dataset}.inter: no such file; `prepare` writes it")
    parts = read_parts(config)
    histories = training_histories(config, parts.train)
    tokens = parts.dataset.field2id_token[parts.dataset.iid_field][1:]
    item_file = source / f"{dataset}.item"
    files = [*parts.inputs.files, *([item_file] if item_file.is_file() else [])]
    return TrainingData(
        config,
        source,
        enriched_folder(config),
        histories,
        sorted(map(str, tokens)),
        Split(definition(config), histories.fingerprint()),
        hash_inputs(source, dataset, dict.fromkeys(files)),
    )


def refuse_other_split(manifest: Path, split: Split) -> None:
    """Raise UserError if a folder holds files of a differently defined split."""
    if not manifest.is_file():
        return
    try:
        theirs = Split.of_plain(read_manifest(manifest).get("split"))
    except (UserError, AttributeError):  # damaged: will be written again
        return
    if theirs is not None and theirs.definition != split.definition:
        raise UserError(
            f"{manifest}: the files here were made from the split {theirs}, and would be replaced "
            f"by those of {split}; give another --output, or move them away"
        )
