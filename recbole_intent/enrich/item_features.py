"""Item features (prompt P1): turn an item's raw fields into short, distinctive features."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.enrich.conversation import Conversation, Manner, ask_until_usable
from recbole_intent.enrich.intents.answers import Features, features_schema
from recbole_intent.enrich.prompts import prompt
from recbole_intent.enrich.report import StepCounts
from recbole_intent.llm.asking import Asker

_T = TypeVar("_T")


def raw_features(texts: ItemTexts, code: int) -> tuple[str, ...]:
    """The raw fields of an item, one feature each; its id if it has none."""
    return tuple(texts.fields(code).values()) or (texts.title(code),)


def refine_features(
    asker: Asker,
    texts: ItemTexts,
    codes: Iterable[int],
    manner: Manner,
    *,
    domain: str,
    most: int,
    attempts: int,
    counts: StepCounts,
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Ask a language model for features of items; use the raw fields if it fails.

    Args:
        asker: sends the requests.
        texts: texts of the items.
        codes: codes of the items to ask about.
        manner: sampling settings.
        domain: name of the catalogue in the prompt.
        most: maximum number of features per item.
        attempts: maximum number of requests per item.
        counts: updated in place.

    Yields:
        (code, features), in the order of `codes`.
    """
    first, schema = prompt("item_features"), features_schema(most)
    for chunk in in_chunks(codes, asker.at_once):
        talks = [
            Conversation(
                first, schema, manner, domain=domain, most=most, fields=_lines(texts, code)
            )
            for code in chunk
        ]
        ends = ask_until_usable(asker, talks, Features, attempts)
        for code, end in zip(chunk, ends, strict=True):
            features = _clean(end.value.features, most) if end.value else ()
            counts.add(bool(features), end.problem or "no text in the answer", end.tokens)
            yield code, features or raw_features(texts, code)


def _lines(texts: ItemTexts, code: int) -> str:
    fields = texts.fields(code) or {"id": texts.title(code)}
    return "\n".join(f"{name}: {text}" for name, text in fields.items())


def _clean(features: list[str], most: int) -> tuple[str, ...]:
    flat = (" ".join(text.split()).strip(" ;") for text in features)
    return tuple(dict.fromkeys(filter(None, flat)))[:most]


def in_chunks(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Split values into lists of `size`; the last one may be shorter."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk
