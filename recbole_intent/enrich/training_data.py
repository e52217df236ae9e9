"""What `enrich` may see of a dataset: the training interactions of the runs that it is for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.config import Config, read_yaml
from recbole_intent.data.seals import hash_inputs
from recbole_intent.data.split import read_parts
from recbole_intent.data.training_interactions import (
    SPLIT_KEYS,
    Split,
    TrainingHistories,
    definition,
    enriched_folder,
    training_histories,
)
from recbole_intent.enrich.record_files import read_manifest
from recbole_intent.errors import UserError


@dataclass(frozen=True)
class TrainingData:
    """The training interactions of a dataset, and where they are from.

    Attributes:
        config: of a run of the model that the files are for.
        source: folder of the atomic files.
        folder: where files made of this split belong unless another one is given.
        histories: of all users of the dataset; who is not trained has none.
        catalogue: ids of all items of the dataset, sorted: their order tells nothing.
        split: the split and the fingerprint of the histories.
        inputs: name of each atomic file -> its SHA-256, the .item file among them where it is.
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
    """Read and split a dataset exactly as a run does, and keep training alone.

    Args:
        model: what the files are for; its runs have this split.
        dataset: its name.
        data_path: parent folder of datasets.
        given: values of a run's keys that decide the split, such as `eval_args`.

    Raises:
        UserError: as a run on these data with these values.
    """
    config = Config(model, dataset, config_dict={**(given or {}), "data_path": str(data_path)})
    source = Path(data_path) / dataset
    if Path(config["data_path"]).resolve() != source.resolve():  # RecBole has some of its own
        raise UserError(f"{source / dataset}.inter: no such file; `prepare` writes it")
    parts = read_parts(config)
    histories = training_histories(config, parts.train)
    tokens = parts.dataset.field2id_token[parts.dataset.iid_field][1:]
    item_file = source / f"{dataset}.item"
    files = [*parts.files, *([item_file] if item_file.is_file() else [])]
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
    """Raise UserError where a folder holds files of a split that is defined in another way."""
    if not manifest.is_file():
        return
    try:
        theirs = Split.of_plain(read_manifest(manifest).get("split"))
    except (UserError, AttributeError):  # damaged: it is written again
        return
    if theirs is not None and theirs.definition != split.definition:
        raise UserError(
            f"{manifest}: the files here were made from the split {theirs}, and would be replaced "
            f"by those of {split}; give another --output, or move them away"
        )


def split_values(files: Sequence[str | Path], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run's keys that decide the split, of files and of the command line.

    Args:
        files: YAML files of the user; later ones win.
        given: typed values that win over all files.
    """
    values: dict[str, Any] = {}
    for source in (*map(read_yaml, files), given):
        values.update({key: value for key, value in source.items() if key in SPLIT_KEYS})
    return values


def run_keys(model: str, dataset: str) -> set[str]:
    """The keys that a run of a model has, which a file of its options may hold."""
    return {*Config(model, dataset).final_config_dict, *SPLIT_KEYS}
