"""Entries of a comparison: the models, their own configuration keys and the shared protocol."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_intent.config import keys
from recbole_intent.config.keys import with_role
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml

if TYPE_CHECKING:  # imports torch, and mistakes in entries are answered before
    from recbole_intent.config.config import Config

# The same for all models of a comparison: data, split, candidates, metrics, epoch selection.
PROTOCOL = with_role(keys.PROTOCOL)


@dataclass(frozen=True)
class Entry:
    """One row of a comparison: a model with its own configuration keys.

    Attributes:
        label: name in tables.
        model: registered name, or `package.module:Class`.
        values: configuration keys of this entry only.
    """

    label: str
    model: str
    values: Mapping[str, Any] = field(default_factory=dict)


def read_entries(
    models: Sequence[str], params: str | None, dataset: str, shared: Mapping[str, Any] | None = None
) -> list[Entry]:
    """Read the entries that `--models` and `--params` select.

    Args:
        models: labels of the params file, or model names. Empty: all entries of the params file.
        params: path of a YAML file `label: {model: NAME, KEY: VALUE …}` (`model` defaults to the
            label), or `MODEL:FILE,MODEL:FILE` with flat `KEY: VALUE` files as written by `tune`.
        dataset: the dataset of the comparison.
        shared: keys given for all models. An entry may repeat protocol keys among them.

    Raises:
        UserError: a duplicate label, a malformed file, or a key that all models must share.
    """
    shared = {**(shared or {}), "dataset": dataset}
    given = _read_params(params) if params else {}
    labels = list(models) or list(given)
    if not labels:
        raise UserError("--models=A,B,… is missing; --help shows how")
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"--models: {label} is named twice; --params can name variants of it")
    for label, (where, _) in given.items():
        if label not in labels:
            raise UserError(f"{where}: {label} is not among --models ({', '.join(labels)})")
    return [_entry(label, *given.get(label, ("", {})), shared) for label in labels]


def _entry(label: str, where: str, values: Mapping[str, Any], shared: Mapping[str, Any]) -> Entry:
    # A file written by `tune` also lists the values given to all of its trials.
    agreed = PROTOCOL & {key for key in shared if shared[key] == values.get(key)}
    values = {key: value for key, value in values.items() if key not in agreed}
    model = values.pop("model", label)
    refuse_protocol(values, f"{where}: {label}")
    return Entry(label, str(model), values)


def refuse_protocol(values: Mapping[str, Any], where: str) -> None:
    """Raise UserError if the keys of one entry would change the shared protocol."""
    for key in values:
        if key in PROTOCOL:
            raise UserError(
                f"{where}: {key} is a part of the protocol, the same for all models; "
                f"give it for all: --{key}={values[key]}"
            )


def _read_params(params: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Map each label to the file that defines it and its keys."""
    if not Path(params).is_file() and ":" in params:
        pairs = [pair.strip().rpartition(":") for pair in params.split(",")]
        if not all(label and path for label, _, path in pairs):
            raise UserError(f"--params={params}: neither a file nor MODEL:FILE,MODEL:FILE")
        files = {label: (path, read_yaml(path)) for label, _, path in pairs}
        for _, values in files.values():
            values.pop("seed", None)  # seed of the search; a comparison has its own seeds
        return files
    by_label = {}
    for label, values in read_yaml(params).items():
        if not isinstance(values, Mapping | None):
            raise UserError(
                f"{params}: {label}: expected `label: {{model: NAME, KEY: VALUE}}`; a file with "
                "the keys of one model is given as --params=MODEL:FILE"
            )
        by_label[str(label)] = (params, dict(values or {}))
    return by_label


def check_protocol(configs: Mapping[str, "Config"]) -> None:
    """Raise UserError if the final configurations of two entries differ in the protocol.

    A model's own default file could change it silently.

    Args:
        configs: label -> configuration, for one seed.
    """
    plain = {label: config.plain() for label, config in configs.items()}
    (first, values), *others = plain.items()
    for label, theirs in others:
        for key in sorted(PROTOCOL):
            if theirs.get(key) != values.get(key):
                raise UserError(
                    f"{key}: {first} has {values.get(key)!r}, {label} has {theirs.get(key)!r}; "
                    f"models are compared under one protocol: give --{key}=… for all"
                )


def refuse_idle(
    configs: Mapping[str, "Config"], own: Mapping[str, Collection[str]], also_direct: bool
) -> None:
    """Raise UserError if a given value has no effect.

    Args:
        configs: label -> configuration, for one seed.
        own: label -> the keys of that entry only, each of which must have an effect in it. A key
            given for all models must have an effect in at least one entry.
        also_direct: whether the runs are also tested on the direct task.
    """
    for_all: dict[str, list[str]] = {}
    for label, config in configs.items():
        for key, because in config.idle().items():
            if also_direct and because.keys() == {"task"}:
                continue
            if key in own[label]:
                raise UserError(f"{label}: {key}: {keys.no_effect(because)}")
            for_all.setdefault(key, []).append(keys.no_effect(because))
    for key, reasons in for_all.items():
        if len(reasons) == len(configs):
            raise UserError(f"{next(iter(configs.values())).where(key)}: {reasons[0]}")
