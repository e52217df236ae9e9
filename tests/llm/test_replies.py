"""What replies mean."""

import json

import pytest

from recbole_intent.llm.replies import (
    NoCompletion,
    Refused,
    completion_of,
    failure_of,
    words_of,
)
from recbole_intent.llm.sources import Completion, TryAgain
from recbole_intent.utils.errors import UserError


def _body(message: dict, **more) -> str:
    return json.dumps({"choices": [{"message": message}], **more})


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "a"}, "a"),
        ({"content": "", "refusal": None}, ""),
        ({"content": None, "refusal": "I cannot"}, "I cannot"),
        ({"content": None, "reasoning": "long thoughts"}, ""),
        ({"content": "half \ud83d"}, "half \ufffd"),
    ],
)
def test_the_text_of_an_answer(message, text):
    assert completion_of(_body(message)) == Completion(text)


def test_tokens_are_counted_where_they_are_told():
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    assert completion_of(_body({"content": "a"}, usage=usage)) == Completion("a", 5, 2)
    assert completion_of(_body({"content": "a"}, usage=None)) == Completion("a")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not complete JSON"),
        ("<html>", "not complete JSON: '<html>'"),
        ('{"choices": [{"mess', "not complete JSON"),
        ("[" * 100_000, "not complete JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "no choices"),
        ('{"choices": []}', "no choices"),
        ('{"choices": [{"text": "a"}]}', "no choices"),
        ('{"error": {"message": "out of  memory"}}', "an error: out of memory"),
        ('{"error": "boom"}', "an error: boom"),
    ],
)
def test_what_is_no_answer(content, said):
    with pytest.raises(NoCompletion, match=said.replace("[", r"\[")):
        completion_of(content)


def _failure(status: int, headers: dict | None = None, **error) -> Exception:
    said = {"message": "it  says", "code": None, "param": None, **error}
    where = {"url": "http://a/v1", "model": "m", "key_env": "A_KEY"}
    return failure_of(status, said, headers or {}, **where)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (_failure(401), ["http://a/v1", "A_KEY", "HTTP 401: it says"]),
        (_failure(403), ["A_KEY"]),
        (_failure(404), ["'m'", "llm.model"]),
        (_failure(400, code="model_not_found"), ["'m'"]),
        (_failure(402), ["used up"]),
        (_failure(429, code="insufficient_quota"), ["used up"]),
    ],
)
def test_what_stops_everything(failure, words):
    assert type(failure) is UserError
    assert all(word in str(failure) for word in words)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_passes(status):
    failure = _failure(status, {"retry-after": "7"})
    assert isinstance(failure, TryAgain)
    assert (failure.kind, failure.after) == (f"HTTP {status}", 7)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_fails_one_request_alone(status):
    failure = _failure(status, param="seed")
    assert isinstance(failure, Refused)
    assert (failure.reason, failure.option) == (f"HTTP {status}: it says", "seed")


def test_long_words_are_cut():
    assert len(str(_failure(400, message="x" * 10_000))) < 400
    assert words_of({"message": "a"}) == words_of("a") == "a"
