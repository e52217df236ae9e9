"""From what a model wrote to checked values: JSON in fences, among words, with raw line breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

_MOST_TRIES = 50  # openings of JSON that are looked at: a page of brackets must not take minutes
_THOUGHTS = ("<think>", "</think>")
_OPENING = re.compile(r"[\[{]")
_DECODER = json.JSONDecoder(strict=False)  # small models put raw control characters in strings
_Model = TypeVar("_Model", bound="BaseModel")


class MalformedAnswer(ValueError):
    """An answer without the JSON that was asked for; its message says what is wrong."""


def parse_answer(text: str, model_class: type[_Model]) -> _Model:
    """The first JSON value in a text that fits a pydantic model.

    Code fences, words around the JSON and `<think>…</think>` before it are passed over. Halves of
    surrogate pairs, which models cut off in the middle of an emoji, become U+FFFD.

    Raises:
        MalformedAnswer: no JSON there, or none that fits.
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
    """The text without what stands between the marks of thoughts.

    One pass: a pattern would look for the end of each beginning, up to the end of the text.
    """
    begin, end = _THOUGHTS
    kept, place = [], 0
    while (first := text.find(begin, place)) >= 0 and (last := text.find(end, first)) >= 0:
        kept.append(text[place:first])
        place = last + len(end)
    return "".join([*kept, text[place:]])


def _values(text: str) -> Iterator[Any]:
    """JSON objects and lists that stand in a text, outermost first."""
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
    """The text with U+FFFD for halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
