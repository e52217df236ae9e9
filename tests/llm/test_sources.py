"""The key of a request."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from recbole_intent.llm.sources import ChatRequest, request_key

SOURCE = SimpleNamespace(name="openai", model="m", base_url="http://a/v1")
REQUEST = ChatRequest(({"role": "user", "content": "hé"},), {"type": "object"}, tag="p@1")


@pytest.mark.parametrize(
    "change",
    [
        {"messages": ({"role": "user", "content": "he"},)},
        {"messages": ({"role": "system", "content": "hé"},)},
        {"messages": REQUEST.messages * 2},
        {"schema": None},
        {"schema": {"type": "array"}},
        {"temperature": 0.5},
        {"max_tokens": 100},
        {"seed": 0},
        {"tag": "p@2"},
    ],
)
def test_each_part_of_a_request_makes_another_key(change):
    assert request_key(SOURCE, replace(REQUEST, **change)) != request_key(SOURCE, REQUEST)


def test_another_source_or_model_is_asked_anew_but_not_another_address():
    key = request_key(SOURCE, REQUEST)
    assert len(key) == 64
    assert key == request_key(SimpleNamespace(**{**vars(SOURCE), "base_url": "b"}), REQUEST)
    for name in ("name", "model"):
        assert key != request_key(SimpleNamespace(**{**vars(SOURCE), name: "x"}), REQUEST)


def test_the_order_of_a_schemas_keys_is_nothing():
    one, other = {"type": "object", "title": "T"}, {"title": "T", "type": "object"}
    first = request_key(SOURCE, replace(REQUEST, schema=one))
    assert first == request_key(SOURCE, replace(REQUEST, schema=other))
