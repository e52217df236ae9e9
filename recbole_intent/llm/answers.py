"""Parse and validate JSON in model answers, despite code fences, prose and raw line breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

_MOST_TRIES = 50  # JSON openings to try: a page of brackets must not take minutes
_THOUGHTS = ("<think>", "</think>")
_OPENING = re.compile(r"[\[{]")
_DECODER = json.JSONDecoder(strict=False)  # small models put raw control characters in strings
_Model = TypeVar("_Model", bound="BaseModel")


class MalformedAnswer(ValueError):
    """An answer without the requested JSON; the message says what is wrong."""


def parse_answer(text: str, model_class: type[_Model]) -> _Model:
    """Return the first JSON value in a text that validates against a pydantic model.

    Code fences, words around the JSON and a preceding `<think>…</think>` are skipped. Lone
    surrogates, left when a model stops in the middle of an emoji, become U+FFFD.

    Raises:
        MalformedAnswer: no JSON, or none that validates.
    """
    from pydantic import ValidationError

    problem = "no JSON in the answer"
    for value in _values(_without_thoughts(text)):
        try:
            return model_class.model_validate(_whole(value))
        except RecursionError:
            problem = "the answer: nested too deeply"
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the answer"
            problem = f"{where}: {first['msg']}"
    raise MalformedAnswer(problem)


def _without_thoughts(text: str) -> str:
    """Remove the thinking sections from a text.

    This is a single pass; a regular expression would scan to the end of the text for every opening
    tag.
    """
    begin, end = _THOUGHTS
    kept, place = [], 0
    while (first := text.find(begin, place)) >= 0 and (last := text.find(end, first)) >= 0:
        kept.append(text[place:first])
        place = last + len(end)
    return "".join([*kept, text[place:]])


def _values(text: str) -> Iterator[Any]:
    """Iterate over the JSON objects and lists in a text, outermost first."""
    position = 0
    for _ in range(_MOST_TRIES):
        opening = _OPENING.search(text, position)
        if opening is None:
            return
        try:
            value, position = _DECODER.raw_decode(text, opening.start())
        except (ValueError, RecursionError):  # not JSON, or nested deeper than any answer
            position = opening.end()
        else:
            yield value


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {whole_text(key): _whole(item) for key, item in value.items()}
    return value


def whole_text(text: str) -> str:
    """Replace lone surrogates, which cannot be written to a file, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
