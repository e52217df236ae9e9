"""Comparison of models: entries, jobs, tables, figures and the page."""

from recbole_intent.utils.callables import make_callable

make_callable(__name__, f"{__name__}.ask:compare")
