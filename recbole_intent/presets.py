"""Named sets of values for a model: `properties/preset/<name>/<Model>.yaml`.

A preset lies over the defaults of model and dataset and under everything that the user gives.
`paper` is what a paper says word for word, `released` what the authors' code does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole_intent.errors import UserError
from recbole_intent.paths import properties_dir

OUR_DEFAULTS = "ours"  # the defaults; so is an empty name


def class_names(model_class: type) -> list[str]:
    """The names by which a model's properties are looked for: its own, then those of its bases."""
    return [base.__name__ for base in model_class.__mro__]


def preset_names(models: Sequence[str]) -> list[str]:
    """The presets of a model.

    Args:
        models: as of `class_names`.
    """
    files = _folder().glob("*/*.yaml")
    return sorted({path.parent.name for path in files if path.stem in models})


def preset_file(name: Any, models: Sequence[str]) -> Path | None:
    """The file of a preset; None for our own defaults.

    Args:
        name: the value of `preset`.
        models: as of `class_names`.

    Raises:
        UserError: the model has no such preset; names those that it has.
    """
    if name in (None, OUR_DEFAULTS):
        return None
    known = preset_names(models)
    if not isinstance(name, str) or name not in known:
        has = f"has {', '.join([OUR_DEFAULTS, *known])}" if known else "has none; leave it out"
        raise UserError(f"preset: {name!r} is no preset of {models[0]}, which {has}")
    return next(path for model in models if (path := _folder() / name / f"{model}.yaml").is_file())


def _folder() -> Path:
    return properties_dir() / "preset"
