"""The models: one folder per paper, which contributes its entries of the registry as `SPECS`."""

import importlib
import pkgutil
from collections.abc import Iterator

from recbole_intent.config.registry import ModelSpec


def specs() -> Iterator[ModelSpec]:
    """Yield the entries of all folders."""
    for folder in pkgutil.iter_modules(__path__):
        yield from getattr(importlib.import_module(f"{__name__}.{folder.name}"), "SPECS", ())
