"""Who takes part in a comparison, with which keys of its own, and what all must share."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_intent import keys
from recbole_intent.config import Config, read_yaml
from recbole_intent.errors import UserError
from recbole_intent.keys import with_role

# The same for all models of a comparison: data, split, candidates, metrics, choice of the epoch.
PROTOCOL = with_role(keys.PROTOCOL)


@dataclass(frozen=True)
class Entry:
    """One row of a comparison: a model with keys of its own.

    Attributes:
        label: what tables call it.
        model: registered name, or `package.module:Class`.
        values: configuration keys of this entry alone.
    """

    label: str
    model: str
    values: Mapping[str, Any] = field(default_factory=dict)


def read_entries(
    models: Sequence[str], params: str | None, dataset: str, shared: Mapping[str, Any] | None = None
) -> list[Entry]:
    """The entries that `--models` and `--params` ask for.

    Args:
        models: labels: of the params file, or names of models. Empty: all of the params file.
        params: path of a YAML file `label: {model: NAME, KEY: VALUE …}` (`model` is the label
            where it is not given), or `MODEL:FILE,MODEL:FILE` with flat files `KEY: VALUE` as
            `tune` leaves them.
        dataset: that all are compared on.
        shared: keys given for all models. An entry may repeat those of the protocol.

    Raises:
        UserError: a label twice, a file of another form, or a key that all must share.
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
    # A file of `tune` also names what was given to all of its trials.
    agreed = PROTOCOL & {key for key in shared if shared[key] == values.get(key)}
    values = {key: value for key, value in values.items() if key not in agreed}
    model = values.pop("model", label)
    refuse_protocol(values, f"{where}: {label}")
    return Entry(label, str(model), values)


def refuse_protocol(values: Mapping[str, Any], where: str) -> None:
    """Raise UserError if one entry's keys would change what all must share."""
    for key in values:
        if key in PROTOCOL:
            raise UserError(
                f"{where}: {key} is a part of the protocol, the same for all models; "
                f"give it for all: --{key}={values[key]}"
            )


def _read_params(params: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Label -> the file that it stands in, and its keys."""
    if not Path(params).is_file() and ":" in params:
        pairs = [pair.strip().rpartition(":") for pair in params.split(",")]
        if not all(label and path for label, _, path in pairs):
            raise UserError(f"--params={params}: neither a file nor MODEL:FILE,MODEL:FILE")
        files = {label: (path, read_yaml(path)) for label, _, path in pairs}
        for _, values in files.values():
            values.pop("seed", None)  # of a search; a comparison has seeds of its own
        return files
    found = {}
    for label, values in read_yaml(params).items():
        if not isinstance(values, Mapping | None):
            raise UserError(
                f"{params}: {label}: expected `label: {{model: NAME, KEY: VALUE}}`; a file with "
                "the keys of one model is given as --params=MODEL:FILE"
            )
        found[str(label)] = (params, dict(values or {}))
    return found


def check_protocol(configs: Mapping[str, Config]) -> None:
    """Raise UserError if the final configurations of two entries differ in the protocol.

    A model's own default file could change it without a word.

    Args:
        configs: label -> configuration, of one seed.
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
    configs: Mapping[str, Config], own: Mapping[str, Collection[str]], also_direct: bool
) -> None:
    """Raise UserError if a value that was given has no effect.

    Args:
        configs: label -> configuration, of one seed.
        own: label -> the keys of that entry alone, each of which must have an effect in it; a key
            that is given for all must have one in some entry.
        also_direct: the runs are tested on the direct task too.
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
