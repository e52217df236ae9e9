"""Search spaces: lists and ranges read from YAML and checked before the first trial."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_intent.config.keys import no_effect
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.paths import properties_dir

if TYPE_CHECKING:  # imports torch
    from recbole_intent.config.config import Config


@dataclass(frozen=True)
class Choice:
    """One of several values, all equally likely.

    Attributes:
        values: at least one, any plain values.
    """

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw one value."""
        return self.values[int(rng.integers(len(self.values)))]

    def ends(self) -> tuple[Any, ...]:
        """The values to check: all of them."""
        return self.values

    def plain(self) -> Any:
        """As it stands in YAML."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """A number in a range.

    Attributes:
        kind: uniform, loguniform, or int (whole numbers, both ends included).
        low: the minimum.
        high: the maximum, above `low`.
    """

    kind: str
    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float | int:
        """Draw one number."""
        if self.kind == "int":
            return int(rng.integers(int(self.low), int(self.high) + 1))
        if self.kind == "uniform":
            return float(rng.uniform(self.low, self.high))
        value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(value, self.low), self.high)  # exp(log(x)) may exceed x by rounding

    def ends(self) -> tuple[Any, ...]:
        """The values to check: both ends."""
        return (self.low, self.high)

    def plain(self) -> Any:
        """As it stands in YAML."""
        return {self.kind: [self.low, self.high]}


Space = dict[str, Choice | Range]


def read_space(
    model: str, path: str | Path | Mapping[str, Any] | None = None
) -> tuple[Space, Path]:
    """Read a search space from a file.

    Args:
        model: its `properties/search/<model>.yaml` is read if `path` is None.
        path: a file of `key: [value, …]`, `key: {uniform: [a, b]}`, `key: {loguniform: [a, b]}`
            and `key: {int: [a, b]}` lines, or such a mapping.

    Returns:
        The space, in the order of the file, and the path of the file.

    Raises:
        UserError: no such file, or a malformed line.
    """
    if path is None:
        path = properties_dir() / "search" / f"{model.rpartition(':')[2]}.yaml"
        if not path.is_file():
            raise UserError(
                f"--model={model}: comes without a search space (no {path}); give --search=FILE"
            )
    if isinstance(path, Mapping):
        return {key: _parse(f"space: {key}", value) for key, value in path.items()}, Path("space")
    path = Path(path)
    return {key: _parse(f"{path}: {key}", value) for key, value in read_yaml(path).items()}, path


def _parse(where: str, value: Any) -> Choice | Range:
    if isinstance(value, list):
        if not value:
            raise UserError(f"{where}: an empty list leaves nothing to choose")
        for i, one in enumerate(value):
            if one in value[:i]:
                raise UserError(f"{where}: {one!r} stands twice in the list")
        return Choice(tuple(value))
    if isinstance(value, Mapping) and len(value) == 1:
        (kind, ends), *_ = value.items()
        if kind in ("uniform", "loguniform", "int"):
            return _range(where, kind, ends)
    raise UserError(
        f"{where}: {value!r} is none of [value, …], {{uniform: [a, b]}}, "
        "{loguniform: [a, b]}, {int: [a, b]}"
    )


def _range(where: str, kind: str, ends: Any) -> Range:
    wanted = int if kind == "int" else int | float
    if not (
        isinstance(ends, list)
        and len(ends) == 2
        and all(isinstance(end, wanted) and not isinstance(end, bool) for end in ends)
        and all(math.isfinite(end) for end in ends)
        and ends[0] < ends[1]
    ):
        numbers = "whole numbers" if kind == "int" else "numbers"
        raise UserError(f"{where}: {kind}: {ends!r} is not [a, b] of two {numbers}, a < b")
    if kind == "loguniform" and ends[0] <= 0:
        raise UserError(f"{where}: loguniform: {ends!r}: the lower end must be above 0")
    return Range(kind, *ends)


def without_idle(space: Space, path: Path, config: "Config", *, is_own: bool) -> Space:
    """Remove the keys that have no effect for any values of the other searched keys.

    Args:
        space: the search space.
        path: its file, for messages.
        config: configuration of a trial without the searched keys.
        is_own: whether the user wrote the file. In a user's file, a key without an effect is an
            error; from a model's built-in space it is removed.

    Raises:
        UserError: a key without an effect in a user's file or in the configuration.
    """
    idle = dict(config.key_table.idle(space, config.final_config_dict))
    idle = {key: because for key, because in idle.items() if space.keys().isdisjoint(because)}
    for key, because in idle.items():
        if is_own:
            raise UserError(f"{path}: {key}: {no_effect(because)}")
        logging.getLogger("recbole_intent").info(
            "%s is not searched: it %s", key, no_effect(because)
        )
    for key, because in config.idle().items():
        if space.keys().isdisjoint(because):
            raise UserError(f"{config.where(key)}: {no_effect(because)}")
    return {key: domain for key, domain in space.items() if key not in idle}


def check_space(
    space: Space,
    path: Path,
    config: "Config",
    files: Sequence[str | Path] = (),
    allow_unknown: bool = False,
) -> None:
    """Reject, before any trial starts, keys and values that the configuration would reject.

    Args:
        space: the search space.
        path: its file, for messages.
        config: configuration of a trial without the searched keys.
        files: YAML files of the user, as given to `config`.
        allow_unknown: accept keys that no default file defines.

    Raises:
        UserError: the first such key (with the nearest known one) or value.
    """
    from recbole_intent.config.config import Config

    if not space:
        raise UserError(f"{path}: nothing is left to search: every key of it is given a value")
    for key, domain in space.items():
        if not config.key_table.row(key).is_searchable:
            raise UserError(f"{path}: {key}: cannot be searched; give it a value for all trials")
        if key not in config.final_config_dict and not allow_unknown:
            try:
                Config(config["model"], config["dataset"], files, {key: domain.ends()[0]})
            except UserError as error:
                message = str(error).replace(" (--allow-unknown accepts it)", "")
                raise UserError(f"{path}: {message.removeprefix('--')}") from error
        for value in domain.ends():
            mistake = config.key_table.mistake(key, value, config.internal_config_dict.get(key))
            if mistake:
                raise UserError(f"{path}: {key}: {mistake}")
