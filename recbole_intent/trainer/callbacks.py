"""Callbacks: a user's objects whose methods a run calls, with plain data, at its events."""

import copy
import importlib
import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from recbole_intent.trainer import distributed
from recbole_intent.utils.errors import UserError

HOOKS = ("on_run_start", "on_batch_end", "on_evaluation_end", "on_epoch_end", "on_run_end")


class Callbacks:
    """The callbacks of a run; each hook gets one dictionary of plain values, a copy.

    They do not change a run: all random generators are as before after a hook. With several
    processes, the main one alone calls them.

    Args:
        given: objects with any of `HOOKS`, or paths `package.module:Class` of classes without
            arguments. A string is one path.

    Raises:
        UserError: an object without a hook, or with a method `on_…` that is none.
    """

    def __init__(self, given: Sequence[Any] | str = ()) -> None:
        self._objects = [_made(one) for one in _listed(given)] if distributed.is_main() else []

    def listens(self, hook: str) -> bool:
        """Whether a callback has this hook."""
        return any(hasattr(one, hook) for one in self._objects)

    def call(self, hook: str, **values: Any) -> None:
        """Call a hook of all callbacks, in their order.

        Raises:
            UserError: a callback failed; names it.
        """
        for one in self._objects:
            if method := getattr(one, hook, None):
                with _same_randomness(), _named(one, hook):
                    method(copy.deepcopy(values))

    @contextmanager
    def of_run(self, **start: Any) -> Iterator[dict[str, Any]]:
        """Call `on_run_start` with `start`, and `on_run_end` however the run ends.

        Yields:
            What `on_run_end` gets: `folder`, `result` (None), to be filled in, and `error`.
        """
        end: dict[str, Any] = {"folder": start["folder"], "result": None, "error": None}
        try:
            self.call("on_run_start", **start)
            yield end
        except BaseException as error:
            end["error"] = f"{type(error).__name__}: {error}"
            try:
                self.call("on_run_end", **end)
            except UserError as other:  # it must not hide the reason
                logging.getLogger("recbole_intent").warning("%s", other)
            raise
        self.call("on_run_end", **end)


def paths_of(callbacks: Sequence[Any] | str) -> list[str]:
    """Return callbacks for processes that are started: paths alone can be sent there.

    Raises:
        UserError: one is an object, or has no hooks.
    """
    callbacks = _listed(callbacks)
    for one in callbacks:
        if not isinstance(one, str):
            raise UserError(
                f"callbacks: {_name(one)}: trainings run in processes of their own; give it as "
                "'package.module:Class', which each of them creates"
            )
    Callbacks(callbacks)
    return list(callbacks)


def _listed(given: Sequence[Any] | str) -> Sequence[Any]:
    return [given] if isinstance(given, str) else given


def _made(given: Any) -> Any:
    if not isinstance(given, str):
        return _checked(given)
    module, _, name = given.partition(":")
    try:
        return _checked(getattr(importlib.import_module(module), name)())
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"callbacks: {given!r}: not a class package.module:Class without arguments: {error}"
        ) from error


def _checked(one: Any) -> Any:
    hooks = {name for name in dir(one) if name.startswith("on_") and callable(getattr(one, name))}
    if isinstance(one, type):
        raise UserError(f"callbacks: {one.__name__} is a class; give an object, {one.__name__}()")
    if not hooks or hooks - {*HOOKS}:
        wrong = f"{min(hooks - {*HOOKS})} is none of" if hooks else "has none of"
        raise UserError(f"callbacks: {_name(one)}: {wrong} the hooks {', '.join(HOOKS)}")
    return one


def _name(one: Any) -> str:
    return type(one).__qualname__


@contextmanager
def _named(one: Any, hook: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"callback {_name(one)}: {hook} failed: {why}") from error


@contextmanager
def _same_randomness() -> Iterator[None]:
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 (RecBole draws from it)
    with torch.random.fork_rng():
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
