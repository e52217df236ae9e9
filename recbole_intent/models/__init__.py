"""The models: one folder per paper, which contributes its entries of the registry as `SPECS`."""

import importlib
import pkgutil
from collections.abc import Iterator

from recbole_intent.config.registry import ModelSpec
from recbole_intent.utils.callables import make_callable


def specs() -> Iterator[ModelSpec]:
    """Yield the entries of all folders."""
    for folder in pkgutil.iter_modules(__path__):
        if folder.ispkg:
            yield from getattr(importlib.import_module(f"{__name__}.{folder.name}"), "SPECS", ())


make_callable(__name__, f"{__name__}.listing:models")
