"""Named sets of values for a model: `properties/preset/<name>/<Model>.yaml`.

A preset overrides the defaults of model and dataset; the user's values override the preset. `paper`
follows a paper word for word, `released` the authors' code, and `authors`, of a baseline, what its
authors trained with. A file may end with `datasets`: values that differ by dataset.

Tuned values, `properties/tuned/<dataset>/<Model>.yaml`, are the best of a search, by `tune
--write-tuned`. They have the rank of a preset.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.paths import properties_dir

OUR_DEFAULTS = "ours"  # the defaults, as is an empty name
DATASETS = "datasets"  # section of a preset file: dataset -> values


def class_names(model_class: type) -> list[str]:
    """Return the names of a model's property files: its own, then those of its bases."""
    return [base.__name__ for base in model_class.__mro__]


def preset_names(models: Sequence[str]) -> list[str]:
    """Return the names of a model's presets.

    Args:
        models: names from `class_names`.
    """
    files = _folder().glob("*/*.yaml")
    return sorted({path.parent.name for path in files if path.stem in models})


def preset_values(name: Any, models: Sequence[str], dataset: str) -> dict[str, Any]:
    """Return the values of a preset for a dataset; none for our own defaults.

    Args:
        name: the value of `preset`.
        models: names from `class_names`.
        dataset: name of the dataset.

    Raises:
        UserError: the model has no such preset; lists those it has.
    """
    if name in (None, OUR_DEFAULTS):
        return {}
    known = preset_names(models)
    if not isinstance(name, str) or name not in known:
        has = f"has {', '.join([OUR_DEFAULTS, *known])}" if known else "has none; leave it out"
        raise UserError(f"preset: {name!r} is not a preset of {models[0]}, which {has}")
    folder = _folder() / name
    path = next(path for model in models if (path := folder / f"{model}.yaml").is_file())
    values = dict(read_yaml(path))
    by_dataset: Mapping[str, Any] = values.pop(DATASETS, {})
    return {**values, **by_dataset.get(dataset, {})}


def tuned_path(model: str, dataset: str) -> Path:
    """Return the path of a model's tuned values for a dataset; the file need not exist."""
    return properties_dir() / "tuned" / dataset / f"{model}.yaml"


def tuned_values(model: str, dataset: str, preset: Any = None) -> tuple[Path, dict[str, Any]]:
    """Return the best values of a search, and the path of their file.

    Args:
        model: name of the model's class; the values of a base class are not its own.
        dataset: name of the dataset.
        preset: the value of `preset`.

    Raises:
        UserError: the model has none for this dataset, or a preset is given too.
    """
    if preset not in (None, OUR_DEFAULTS):
        raise UserError(f"tuned: does not go with preset: {preset!r}; leave one of them out")
    path = tuned_path(model, dataset)
    if not path.is_file():
        raise UserError(
            f"tuned: there are no tuned values of {model} for {dataset} (no {path}); `tune "
            f"--model={model} --dataset={dataset} --write-tuned` searches and writes them"
        )
    values = read_yaml(path)
    for key in ("tuned", "preset", "model", "dataset"):
        if key in values:
            raise UserError(f"{path}: {key}: has no place among tuned values; remove the line")
    return path, values


def _folder() -> Path:
    return properties_dir() / "preset"
