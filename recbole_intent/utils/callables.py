"""Packages that can be called: a question's package is also the function that answers it."""

import importlib
import inspect
import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package with a function of its own, which is imported on the first call."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function()(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._function())

    def _function(self) -> Any:
        module, _, name = self.__dict__["_calls"].partition(":")
        return getattr(importlib.import_module(module), name)


def make_callable(package: str, path: str) -> None:
    """Let a package be called like a function.

    Python sets a submodule as an attribute of its parent as soon as it is imported. So a function
    `recbole_intent.compare` would vanish behind the package of that name, or hide its modules.
    With one object for both, every form and order of imports works.

    Args:
        package: name of the package, which calls this in its `__init__`.
        path: the function, `package.module:name`.
    """
    module = sys.modules[package]
    module.__dict__["_calls"] = path
    module.__class__ = _CallablePackage
