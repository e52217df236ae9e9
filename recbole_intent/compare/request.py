"""The request of a comparison: models, seeds, conditions and machine settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_intent.compare.entries import Entry
from recbole_intent.config.command_keys import COMPARE, refuse
from recbole_intent.config.presets import OUR_DEFAULTS, class_names, preset_names
from recbole_intent.config.registry import get_spec
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml

Key = tuple[str, int]  # label, seed
NEXT_ITEM = "next-item"
TASKS = (NEXT_ITEM, "direct")
MASKS = {"masked": True, "unmasked": False}  # `also` -> value of `mask_history`


@dataclass(frozen=True)
class Request:
    """Settings of one comparison.

    Attributes:
        dataset: a prepared dataset.
        entries: the models, each with its own keys; a plain name is a model without own keys.
        seeds: every model is trained with each seed.
        reference: label that the others are tested against and that does not count as a baseline;
            None: the first entry.
        config_files: YAML files for all models.
        overrides: typed values for all models; an entry's own keys take precedence.
        noise: (kind, ratio) of noise in the test histories; all runs are evaluated under each.
        tasks: additional tasks (`next-item`, `direct`), or `masked` or `unmasked` histories, to
            evaluate all runs on.
        times_tasks: also time the inference of those tasks.
        workers: number of parallel trainings.
        output: folder of tables and pictures; None: `<checkpoint_dir>/compare-<dataset>-<digest>`.
        figures: format of the figures: `png`, `svg` or `pdf`.
        fresh: train again even if a finished run exists.
        allow_unknown: accept keys that no default file defines.
        command: words of the command line, quoted in the report.
        passed_over: label → keys of `overrides` that its model lacks and is trained without.
        callbacks: paths of the callbacks of each training.
    """

    dataset: str
    entries: Sequence[Entry]
    seeds: Sequence[int]
    reference: str | None = None
    config_files: Sequence[str] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    noise: Sequence[tuple[str, float]] = ()
    tasks: Sequence[str] = ()
    times_tasks: bool = False
    workers: int = 1
    output: str | None = None
    figures: str = "png"
    fresh: bool = False
    allow_unknown: bool = False
    command: Sequence[str] = ()
    passed_over: Mapping[str, Collection[str]] = field(default_factory=dict)
    callbacks: Sequence[str] = ()

    def __post_init__(self) -> None:
        # A single value stands for a list of one; a string is not a list of letters.
        for name in ("entries", "seeds", "config_files", "tasks"):
            value = getattr(self, name)
            several = [value] if isinstance(value, str | Path | int | Entry) else list(value)
            if name == "entries":
                several = [Entry(e, e) if isinstance(e, str) else e for e in several]
            object.__setattr__(self, name, several)
        for seed in self.seeds:
            if not isinstance(seed, int) or isinstance(seed, bool):
                raise UserError(f"seeds: {seed!r} is not a whole number")
        labels = [entry.label for entry in self.entries]
        if self.reference is not None and self.reference not in labels:
            raise UserError(f"--reference={self.reference}: not among {', '.join(labels)}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError("--seeds: give each seed once, such as --seeds=2020,2021,2022")
        values = {"seeds": [*self.seeds], "workers": self.workers, "figures": self.figures}
        refuse(COMPARE, values)
        for task in self.tasks:
            if task not in (*TASKS, *MASKS):
                raise UserError(f"--also={task}: none of {', '.join((*TASKS, *MASKS))}")
            is_masked = bool(self._given("mask_history"))
            if task == (self._given("task") or NEXT_ITEM) or MASKS.get(task) is is_masked:
                raise UserError(f"--also={task}: the runs are made for it")

    def check_preset(self) -> None:
        """Raise UserError if no model has the preset given for all models."""
        preset = self._preset()
        if preset is not None and not any(_knows(entry, preset) for entry in self.entries):
            known = {entry.model: known_presets(entry.model) for entry in self.entries}
            shown = "; ".join(
                f"{model}: {', '.join(has) or 'none'}" for model, has in known.items()
            )
            raise UserError(f"--preset={preset}: no model of these has it ({shown})")

    def overrides_of(self, entry: Entry, seed: int) -> dict[str, Any]:
        """The overrides of one entry's run.

        A `preset` given for all models applies only to the models that have it.
        """
        lacked = self.passed_over.get(entry.label, ())
        for_all = {key: value for key, value in self.overrides.items() if key not in lacked}
        values = {**for_all, **entry.values, "seed": seed, "show_progress": False}
        preset = self._preset()
        if preset is not None and "preset" not in entry.values:
            values["preset"] = preset if _knows(entry, preset) else None
        return values

    def notes(self) -> list[str]:
        """Sentences that name the keys that models were trained without."""
        return [
            f"{label} has no {', '.join(keys)}: trained without."
            for label, keys in self.passed_over.items()
        ]

    def _preset(self) -> Any:
        """The preset given for all models; None: our defaults."""
        given = self._given("preset")
        return None if given == OUR_DEFAULTS else given

    def _given(self, key: str) -> Any:
        """The value of a key given for all models; None without."""
        given = None
        for path in self.config_files:
            given = read_yaml(path).get(key, given)
        return self.overrides.get(key, given)


def known_presets(model: str) -> list[str]:
    """The presets that a model has."""
    return preset_names(class_names(get_spec(model).model_class()))


def _knows(entry: Entry, preset: Any) -> bool:
    return preset in known_presets(entry.model)
