"""Offline enrichment: files of language-model answers about sessions, items and users."""

from recbole_intent.utils.callables import make_callable

make_callable(__name__, f"{__name__}.products:enrich")
