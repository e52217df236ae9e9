"""What a user gives a run, the defaults below it, and their checks; nothing here imports torch."""

import copy
import functools
import importlib.util
import runpy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_intent.config.key_table import KeyTable, key_table
from recbole_intent.config.keys import SHARED, unknown
from recbole_intent.config.presets import preset_names, preset_values, tuned_values
from recbole_intent.config.registry import get_spec
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.paths import properties_dir

# Located without an import, which would import torch.
_spec = importlib.util.find_spec("recbole")
if _spec is None or _spec.origin is None:
    raise UserError("recbole is not installed; run: pip install recbole==1.2.1")
_RECBOLE = Path(_spec.origin).parent
_THEIRS = _RECBOLE / "properties"
# RecBole's sequential models with features, which read more columns of its example dataset.
_WITH_FEATURES = ("GRU4RecF", "SASRecF", "FDSA")
# Known to every model, although no default file sets them.
_OPTIONAL_KEYS = frozenset(name for name, key in SHARED.items() if key.optional)


class Given:
    """The files and options that a user gives a run.

    Args:
        files: YAML files; later ones win.
        options: typed values that override all files.

    Attributes:
        files: their paths.
        options: the options.
        values: key -> value of files and options together.

    Raises:
        UserError: an unreadable file, or a key that is not a word.
    """

    def __init__(
        self,
        files: Sequence[str | Path] | str | Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(files, str | Path):  # one path, not its letters
            files = [files]
        self.files = [str(path) for path in files or ()]
        self.options = dict(options or {})
        for key in self.options:
            if not isinstance(key, str):
                raise UserError(f"{key!r}: keys of a configuration are words")
        read = [(path, read_yaml(path)) for path in self.files]
        self._sources = [*((f"{path}: ", values) for path, values in read), ("--", self.options)]
        self._origin = {key: path for path, values in read for key in values}
        self.values = {k: value for _, values in self._sources for k, value in values.items()}

    def where(self, key: str) -> str:
        """Return a key with its source: its file, an option, or the bare key of a default."""
        if key in self.options:
            return f"--{key}"
        return f"{self._origin[key]}: {key}" if key in self._origin else key

    def rank(self, key: str) -> int:
        """Return the rank of a value's source: -1 for a default, then files, then options."""
        if key in self.options:
            return len(self.files)
        return self.files.index(self._origin[key]) if key in self._origin else -1

    def refuse_other_names(self, model: str, dataset: str) -> None:
        """Raise UserError if a file or option names another model or dataset."""
        for where, values in self._sources:
            for key, name in (("model", model), ("dataset", dataset)):
                if key in values and str(values[key]) != name:
                    raise UserError(
                        f"{where}{key}: {values[key]!r} contradicts --{key}={name}; leave one out"
                    )

    def refuse_mistakes(self, table: KeyTable, defaults: Mapping[str, Any]) -> None:
        """Raise UserError for a value that its row refuses."""
        for key, value in self.values.items():
            mistake = table.mistake(key, value, defaults.get(key))
            if mistake:
                raise UserError(f"{self.where(key)}: {mistake}")

    def refuse_unknown(self, defaults: Collection[str]) -> None:
        """Raise UserError for a key that neither a default file nor RecBole knows."""
        known = _known(defaults)
        for key in self.values:
            if key not in known:
                words = unknown(key, known)
                raise UserError(f"{self.where(key)}: {words} (--allow-unknown accepts it)")


@functools.cache
def _parsed(path: Path) -> dict[str, Any]:
    return read_yaml(path)


def _read_properties(path: Path) -> dict[str, Any]:
    """Read a file of a package, which does not change while a process runs."""
    return copy.deepcopy(_parsed(path))


def has_defaults(name: str) -> bool:
    """Whether a model has properties, RecBole's or ours."""
    return any((root / "model" / f"{name}.yaml").is_file() for root in (_THEIRS, properties_dir()))


def default_values(
    names: Sequence[str],
    dataset: str,
    given: Given,
    table: KeyTable,
    *,
    sequential: bool,
) -> dict[str, Any]:
    """Return the values below those that the user gives.

    Later sources win: RecBole's `overall.yaml`, ours, RecBole's model and dataset properties, ours,
    those that `prepare` writes next to the dataset's atomic files, and the requested preset or the
    tuned values.

    Args:
        names: names of the model's property files, its own first; the first that exists counts.
        dataset: name of the dataset.
        given: the user's values; only `data_path`, `preset` and `tuned` are read.
        table: rows that check the properties of the dataset's folder.
        sequential: the model is sequential.

    Raises:
        UserError: a bad value in the dataset's folder or among the tuned values, or a preset or
            tuned values that the model does not have.
    """
    ours = properties_dir()
    model = next((name for name in names if has_defaults(name)), names[0])
    paths = [_THEIRS / "overall.yaml", ours / "overall.yaml", _THEIRS / f"model/{model}.yaml"]
    paths += [_THEIRS / "dataset/sample.yaml", _THEIRS / f"dataset/{dataset}.yaml"]
    if sequential:
        paths.append(_THEIRS / "quick_start_config/sequential.yaml")
    if dataset == "ml-100k" and model in _WITH_FEATURES:
        paths.append(_THEIRS / "quick_start_config/special_sequential_on_ml-100k.yaml")
    paths += [ours / f"model/{model}.yaml", ours / f"dataset/{dataset}.yaml"]
    defaults: dict[str, Any] = {}
    for path in paths:
        if path.is_file():
            defaults.update(_read_properties(path))
    defaults.pop("prepare", None)  # settings of `prepare`, not of a run
    root = given.values.get("data_path", defaults["data_path"])
    written = Path(str(root)) / dataset / f"{dataset}.yaml"
    if written.is_file():
        values = read_yaml(written)
        for key, value in values.items():
            mistake = table.mistake(key, value, defaults.get(key))
            if mistake:
                raise UserError(f"{written}: {key}: {mistake}")
        defaults.update(values)
    defaults |= preset_values(given.values.get("preset"), names, dataset)
    if given.values.get("tuned") is True:
        path, values = tuned_values(names[0], dataset, given.values.get("preset"))
        for key, value in values.items():
            mistake = table.mistake(key, value, defaults.get(key))
            known = _known(defaults)
            if mistake or key not in known:
                raise UserError(f"{path}: {key}: {mistake or unknown(key, known)}")
        defaults.update(values)
    return defaults


def known_keys(model: str, dataset: str) -> set[str] | None:
    """Return the keys that a model has, or None if only the import of its class shows them.

    Raises:
        UserError: no such model.
    """
    spec = get_spec(model)
    if ":" in model or not has_defaults(spec.name):
        return None
    sequential = spec.family != "general"
    table = key_table(spec.keys)
    return _known(default_values([spec.name], dataset, Given(), table, sequential=sequential))


def check_given(
    model: str, dataset: str, given: Given, allow_unknown: bool = False
) -> dict[str, Any] | None:
    """Check names, keys and values before torch is imported.

    `Config` makes the same checks and more; a class outside the table, whose defaults only its
    import reveals, is left to it.

    Returns:
        The values of the run, or None if they are left to `Config`.

    Raises:
        UserError: as `Config`.
    """
    given.refuse_other_names(model, dataset)
    if ":" in model:
        return None
    spec = get_spec(model)
    preset = given.values.get("preset")
    # Of a base class, perhaps.
    inherits = preset not in preset_names([spec.name]) and _is_preset(preset)
    if inherits or not has_defaults(spec.name):
        return None
    table = key_table(spec.keys)
    defaults = default_values(
        [spec.name], dataset, given, table, sequential=spec.family != "general"
    )
    given.refuse_mistakes(table, defaults)
    if not allow_unknown:
        given.refuse_unknown(defaults)
    return {**defaults, **given.values}


def _is_preset(name: Any) -> bool:
    return isinstance(name, str) and (properties_dir() / "preset" / name).is_dir()


def _known(defaults: Collection[str]) -> set[str]:
    return {*defaults, *_OPTIONAL_KEYS, *_recbole_arguments(), "model", "dataset"}


@functools.cache
def _recbole_arguments() -> frozenset[str]:
    """Return the keys that RecBole lists, from its module of lists alone."""
    lists = runpy.run_path(str(_RECBOLE / "utils" / "argument_list.py"))
    groups = ("general", "training", "evaluation", "dataset")
    return frozenset(name for group in groups for name in lists[f"{group}_arguments"])
