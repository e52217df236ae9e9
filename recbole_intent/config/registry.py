"""The model registry: model name -> class, trainer, and rules for batching."""

import difflib
import functools
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.utils import compat
from recbole_intent.utils.errors import UserError

# Values of the property `reference` of a corrected model.
OURS, RECBOLE = "ours", "recbole"


@dataclass(frozen=True)
class ModelSpec:
    """One entry of the registry. Paths are of the form `package.module:Name`, imported on use.

    Attributes:
        name: value of `--model`.
        path: the model's class.
        trainer: the class of its trainer.
        trim: its outputs do not depend on the number of padded columns, so rows may be cut to the
            longest of the batch (a parity test per model checks this).
        splits: its losses are means over the rows of a batch, or over their targets, so several
            processes may share a batch (a test per model checks this too).
        reference: the unmodified RecBole class, for `fast_sequences: False`; same as `path` if
            None.
        corrected: `path` corrects an error of `reference`, which the class describes. The property
            `reference: recbole` keeps RecBole's behaviour.
        keys: module of its `KEYS` and `RULES` (`config/keys.py`), which must not import torch; if
            None, a key has the type of its default.
        paper: module of `PAPER` and `ALWAYS` (`modeling/deviations.py`), which results compare a
            run with.
        inputs: function from a configuration to the files that a run reads besides the dataset's;
            they are part of its fingerprint.
        refused: why a model of RecBole cannot be trained here; only error messages use it.
        untested: a model of RecBole that has not been compared with RecBole's own runs; it is
            found by its path alone.
        title: of its paper; `RecBole` for a model that is RecBole's own.
        url: of the paper.
        family: what it reads: `sequential`, `session`, `general` or `generative`.
        tasks: what `--task` may be.
        needs: files besides the dataset's and optional packages, in words.
        fast: what trains faster than RecBole's way, in words, if it is more than `trim`.
    """

    name: str
    path: str
    trainer: str = "recbole_intent.trainer.base:Trainer"
    trim: bool = False
    splits: bool = False
    reference: str | None = None
    corrected: bool = False
    keys: str | None = None
    paper: str | None = None
    inputs: str | None = None
    refused: str | None = None
    untested: bool = False
    title: str = ""
    url: str = ""
    family: str = ""
    tasks: tuple[str, ...] = ("next-item", "direct")
    needs: str = ""
    fast: str = ""

    @property
    def is_offered(self) -> bool:
        """Whether `--model=<name>` trains it."""
        return self.refused is None and not self.untested

    @property
    def fast_path(self) -> str:
        """What trains faster than RecBole's way, in words; empty: nothing."""
        return self.fast or ("trimmed rows" if self.trim else "")

    def model_class(self, fast: bool = True) -> type:
        """Return the model's class: ours, or RecBole's own if `fast` is False."""
        return _import(self.path if fast or self.reference is None else self.reference)

    def class_for(self, fast_sequences: bool, reference: str | None) -> type:
        """Return the class of a run with these two properties.

        `fast_sequences: False` selects RecBole's own class, unless that is wrong and `reference`
        does not request it.
        """
        wants_recbole = not self.corrected or reference == RECBOLE
        return self.model_class(fast=bool(fast_sequences) or not wants_recbole)

    def trainer_class(self) -> type:
        """Return the class that trains it."""
        return _import(self.trainer)

    def input_files(self, config: Any) -> list[Path]:
        """Return the files that a run of this configuration reads besides the dataset's."""
        return _import(self.inputs)(config) if self.inputs else []


def _import(path: str) -> Any:
    compat.apply()
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@functools.cache
def _table() -> dict[str, ModelSpec]:
    # By name: the models stand above this package, and imports point down.
    return {spec.name: spec for spec in importlib.import_module("recbole_intent.models").specs()}


def register(spec: ModelSpec) -> None:
    """Add a model, or replace one, so that `--model=<name>` finds it."""
    _table()[spec.name] = spec


def model_names() -> list[str]:
    """Return all names that `get_spec` knows, sorted."""
    offered = [name for name, spec in _table().items() if spec.is_offered]
    return sorted(offered, key=str.lower)


def get_spec(name: str) -> ModelSpec:
    """Return the entry of a model.

    Args:
        name: a registered name, or `package.module:Class` for a class outside the table, which gets
            full-width rows and the trainer of its base class, or the plain one.

    Raises:
        UserError: no such model; names the nearest ones.
    """
    table = _table()
    if name in table and table[name].is_offered:
        return table[name]
    if ":" in name:
        return _from_path(name)
    others = (spec for spec in table.values() if not spec.is_offered)
    other = next((spec for spec in others if spec.name.lower() == name.lower()), None)
    if other:
        _refuse(other.name, name)
        raise UserError(
            f"--model={name}: RecBole's {other.name} is not among the tested models; "
            f"--model={other.path} tries it"
        )
    by_lower = {known.lower(): known for known in model_names()}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    names = [by_lower[known] for known in near] or model_names()
    raise UserError(
        f"--model={name}: no such model; nearest: {', '.join(names)} "
        "(a class of your own: --model=package.module:Class)"
    )


def _refuse(known: str, given: str) -> None:
    """Raise UserError if a RecBole model cannot be trained here."""
    spec = _table().get(known)
    if spec and spec.refused:
        raise UserError(f"--model={given}: RecBole's {known} {spec.refused} and is not supported")


def _from_path(path: str) -> ModelSpec:
    module, _, name = path.partition(":")
    if not module.strip(".") or module.startswith(".") or not name:
        raise UserError(f"--model={path}: not of the form package.module:Class")
    if module.split(".")[:2] == ["recbole", "model"]:
        _refuse(name, path)
    compat.apply()
    from recbole.model.abstract_recommender import AbstractRecommender
    from recbole.utils import ModelType

    try:
        model_class = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--model={path}: cannot import {error.name}; is it on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        if error.obj is not sys.modules.get(module):
            raise _failed(path, error) from error
        raise UserError(f"--model={path}: module {module} has no {name!r}") from error
    except Exception as error:
        raise _failed(path, error) from error
    if not isinstance(model_class, type) or not issubclass(model_class, AbstractRecommender):
        raise UserError(f"--model={path}: {name} is not a RecBole model (no AbstractRecommender)")
    here = (ModelType.GENERAL, ModelType.SEQUENTIAL, ModelType.TRADITIONAL)
    if getattr(model_class, "type", None) not in here:
        raise UserError(
            f"--model={path}: {name} is neither a general nor a sequential model of RecBole (its "
            "`type`)"
        )
    base = _base_spec(model_class)
    # `KEYS` in the module of the class take precedence.
    keys = (
        model_class.__module__
        if hasattr(sys.modules[model_class.__module__], "KEYS")
        else base.keys
    )
    return ModelSpec(
        model_class.__name__, path, base.trainer, keys=keys, paper=base.paper, inputs=base.inputs
    )


def _base_spec(model_class: type) -> ModelSpec:
    """Return the entry whose trainer, keys, paper and inputs a class inherits.

    Of a class of RecBole the keys alone: the others belong to our subclass.
    """
    specs = [spec for spec in _table().values() if spec.is_offered]
    ours = {spec.path: spec for spec in specs}
    theirs = {
        spec.reference: ModelSpec(spec.name, spec.reference, keys=spec.keys)
        for spec in specs
        if spec.reference
    }
    names = [f"{base.__module__}:{base.__qualname__}" for base in model_class.__mro__]
    known = theirs | ours
    return next(
        (known[name] for name in names if name in known), ModelSpec(model_class.__name__, "")
    )


def _failed(path: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"--model={path}: importing it fails: {type(error).__name__}: {reason}")
