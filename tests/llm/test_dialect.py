"""The forms of a chat request."""

from recbole_intent.llm.dialect import Dialect
from recbole_intent.llm.sources import ChatRequest

MESSAGES = ({"role": "user", "content": "hi"},)
SCHEMA = {"type": "object", "properties": {}}


def test_a_plain_request_has_no_options_that_were_not_given():
    assert Dialect().body("m", ChatRequest(MESSAGES)) == {
        "model": "m",
        "messages": list(MESSAGES),
        "max_tokens": 512,
        "temperature": 0.0,
    }


def test_a_schema_in_each_style():
    request = ChatRequest(MESSAGES, SCHEMA, seed=3)
    strict = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    assert Dialect().body("m", request)["response_format"] == strict
    lax = {"type": "json_object", "schema": SCHEMA}
    assert Dialect("json_object").body("m", request)["response_format"] == lax
    body = Dialect("none").body("m", request)
    assert "response_format" not in body
    assert body["seed"] == 3


def test_a_closed_schema_is_strict():
    request = ChatRequest(MESSAGES, {**SCHEMA, "additionalProperties": False})
    assert Dialect().body("m", request)["response_format"]["json_schema"]["strict"] is True


def test_options_that_an_endpoint_refuses_are_left_out_or_renamed():
    request = ChatRequest(MESSAGES, seed=3)
    dialect = Dialect()
    for option in ("max_tokens", "temperature", "seed"):
        dialect = dialect.without(option)
    names = {"model", "messages", "max_completion_tokens"}
    assert set(dialect.body("m", request)) == names
    for option in ("max_tokens", "temperature", "seed", "messages", None):
        assert dialect.without(option) is None
