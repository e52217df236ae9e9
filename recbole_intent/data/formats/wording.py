"""Wording of intents and categories: how a name is cleaned, and when two names are the same."""

import re

LONGEST = 100  # characters of an intent; longer texts are rejected
_NOT_WORD = re.compile(r"[\W_]+")


def normal_form(intent: str) -> str:
    """The form used to compare intents: letters and digits in lower case, single spaces."""
    return _NOT_WORD.sub(" ", intent).strip().casefold()


def clean_intent(text: str) -> str:
    """The intent on one line, without surrounding quotes or full stop; empty if invalid."""
    text = " ".join(text.split()).strip(" \"'`.;,:")
    return text if normal_form(text) and len(text) <= LONGEST else ""
