"""Recommendation with intents on RecBole 1.2.1: IGR-SR, VELI4SBR, ISRF and fair comparison.

The public names are imported on first use, so that `import recbole_intent` takes no time.

Example:
    >>> import recbole_intent as ri
    >>> done = ri.run("SASRec", "ml-100k", epochs=5)  # doctest: +SKIP
    >>> done.metrics  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

from recbole_intent.utils.version import __version__

if TYPE_CHECKING:
    from recbole_intent.compare.ask import compare
    from recbole_intent.config.registry import ModelSpec, register
    from recbole_intent.data.prepare.prepare import prepare
    from recbole_intent.enrich.products import enrich
    from recbole_intent.models.listing import models
    from recbole_intent.recommend.recommender import Recommender
    from recbole_intent.runs.ask import evaluate, run
    from recbole_intent.tune.ask import tune
    from recbole_intent.utils.errors import UserError

__all__ = [
    "ModelSpec",
    "Recommender",
    "UserError",
    "__version__",
    "compare",
    "enrich",
    "evaluate",
    "models",
    "prepare",
    "register",
    "run",
    "tune",
]
_MODULES = {
    "ModelSpec": "config.registry",
    "Recommender": "recommend.recommender",
    "UserError": "utils.errors",
    "evaluate": "runs.ask",
    "prepare": "data.prepare.prepare",
    "register": "config.registry",
    "run": "runs.ask",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
    if name in __all__:  # a package that can be called (`utils/callables.py`)
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
