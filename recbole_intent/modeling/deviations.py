"""Deviations of a run from its model's paper."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    """A paper's value or range of one key.

    Attributes:
        key: the configuration key.
        paper: the paper's value or range, in words.
        holds: whether an effective value agrees with the paper.
        source: section or equation; "released" if only the authors' code gives the value.
        in_force: computes the effective value from a configuration; None: the configured value.
        matters: whether the key has an effect under a configuration.
    """

    key: str
    paper: str
    holds: Callable[[Any], bool]
    source: str
    in_force: Callable[[Any], Any] | None = None
    matters: Callable[[Any], bool] = lambda config: True

    def deviation(self, config: Any) -> str | None:
        """Return one line if the effective value differs from the paper's, else None."""
        if not self.matters(config):
            return None
        value = config[self.key] if self.in_force is None else self.in_force(config)
        if self.holds(value):
            return None
        if self.source == "released":
            return f"{self.key}: {value} (released: {self.paper})"
        return f"{self.key}: {value} (paper: {self.paper}, {self.source})"


def exactly(key: str, value: Any, source: str, **options: Any) -> Said:
    """The paper gives one value."""

    # 5 and 5.0 are equal; True and 1 are not.
    def holds(actual: Any) -> bool:
        return actual == value and isinstance(actual, bool) == isinstance(value, bool)

    return Said(key, str(value), holds, source, **options)


def one_of(key: str, values: Sequence[Any], source: str, **options: Any) -> Said:
    """The paper gives a list of values."""
    shown = ", ".join(str(value) for value in values)
    return Said(key, f"one of {shown}", lambda actual: actual in values, source, **options)


def within(key: str, least: float, most: float, source: str, **options: Any) -> Said:
    """The paper gives a range."""

    def holds(actual: float) -> bool:
        return least <= actual <= most

    return Said(key, f"{least} to {most}", holds, source, **options)


def deviations(config: Any, passes: int | None = None) -> list[str]:
    """Return one line per deviation from the paper; none for a model without a table.

    Args:
        config: the run's configuration. `ModelSpec.paper` of its model names the module with
            `PAPER`, the values, and `ALWAYS`, deviations that no key can remove.
        passes: groups of targets that share a training pass; None: each target has its own.
    """
    if config.spec.paper is None:
        return []
    table = importlib.import_module(config.spec.paper)
    lines = [said.deviation(config) for said in table.PAPER]
    if passes is not None:
        shown = "each target has a pass of its own"
        lines.append(f"passes: {passes} (paper: {shown}; those of one share dropout's masks)")
        if config["windows"] == "strided":
            lines.append("windows: strided (paper: each target has the history before it)")
    if config["precision"] != "fp32":
        lines.append(f"precision: {config['precision']} (paper: full precision, as far as it says)")
    if config["matmul_precision"] != "highest":
        lines.append(
            f"matmul_precision: {config['matmul_precision']} "
            "(paper: full precision, as far as it says)"
        )
    return [line for line in lines if line] + list(table.ALWAYS)
