"""The OpenAI protocol over real sockets: faults, dialects, and a key that is seen nowhere."""

import asyncio
import logging
import sys
import traceback
import tracemalloc

import pytest

from recbole_intent.llm.openai_source import OpenAISource
from recbole_intent.llm.sources import ChatRequest, Completion, RequestFailed, TryAgain
from recbole_intent.utils.errors import UserError

KEY = "sk-test-0123456789/abcdef"
SCHEMA = {"type": "object", "properties": {"item": {"type": "string"}}}


def request(text: str = "hi", schema: dict | None = None) -> ChatRequest:
    return ChatRequest(({"role": "user", "content": text},), schema)


def ask(url: str, *requests: ChatRequest, **options) -> list:
    """What a source answers or raises for each request, all at once."""

    async def run() -> list:
        source = OpenAISource("m", url, **options)
        try:
            asked = [source.complete(one) for one in requests]
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await source.close()

    return asyncio.run(run())


def styles(server) -> list[str]:
    return [body.get("response_format", {}).get("type", "none") for body in server.bodies()]


def test_an_answer_with_its_tokens(serve, reply):
    server = serve(lambda body, before: reply("yes"))
    assert ask(server.url, request()) == [Completion("yes", 7, 3)]
    ((headers, body),) = server.seen
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert body["model"] == "m"
    assert "response_format" not in body
    assert headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"fault": "reset"}, "broken connection"),
        ({"fault": "truncated"}, "broken connection"),
        ({"fault": "hang"}, "time-out"),
        ({"fault": "drip"}, "time-out"),
        ({"body": b"<html>\xff\x00</html>"}, "no completion"),
        ({"body": b'{"choices": [{"message": {"content": "ye'}, "no completion"),
        ({"body": b""}, "no completion"),
        ({"body": {"choices": []}}, "no completion"),
        ({"status": 500, "body": b"boom"}, "HTTP 500"),
        ({"status": 503, "body": b"\xff\xfe"}, "HTTP 503"),
    ],
)
def test_faults_that_may_pass(serve, reply, fault, kind):
    server = serve(lambda body, before: reply("yes", **fault))
    (found,) = ask(server.url, request(), timeout=0.7)
    assert isinstance(found, TryAgain)
    assert found.kind == kind
    assert not found.is_absent
    assert len(server.seen) == 1  # no tries of the SDK's own


def test_no_server_is_told_apart(serve, reply):
    server = serve(lambda body, before: reply("yes"))
    server.stop()
    (found,) = ask(server.url, request())
    assert isinstance(found, TryAgain)
    assert found.is_absent
    assert server.url in found.reason


@pytest.mark.parametrize("status", [200, 500])
def test_a_long_reply_is_given_up_in_bounded_memory(serve, reply, status):
    content = b"x" * 10_000_000
    server = serve(lambda body, before: reply(body=content, status=status))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        (found,) = ask(server.url, request(), max_bytes=200_000)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert isinstance(found, RequestFailed)
    assert found.reason == "the answer is longer than 200,000 bytes"
    assert peak < 8_000_000  # the imports are in it; not the 10 MB


def test_retry_after_is_handed_on(serve, reply):
    server = serve(lambda body, before: reply(status=429, headers={"Retry-After": "7"}))
    (found,) = ask(server.url, request())
    assert (found.kind, found.after) == ("HTTP 429", 7)


def test_a_schema_that_is_understood_at_once(serve, reply):
    server = serve(lambda body, before: reply("{}"))
    assert (
        ask(server.url, *[request(str(i), SCHEMA) for i in range(4)])
        == [Completion("{}", 7, 3)] * 4
    )
    assert styles(server) == ["json_schema"] * 4


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize("known", ["json_object", "none"])
def test_a_style_that_is_refused_is_not_used_again(serve, reply, error_reply, status, known):
    def script(body: dict, before: int):
        style = body.get("response_format", {}).get("type", "none")
        return reply("{}") if style in (known, "none") else error_reply(status, "what is that?")

    server = serve(script)

    async def run() -> None:
        source = OpenAISource("m", server.url)
        first = await asyncio.gather(*[source.complete(request(str(i), SCHEMA)) for i in range(4)])
        count = len(server.seen)
        later = await asyncio.gather(*[source.complete(request(f"+{i}", SCHEMA)) for i in range(9)])
        assert {completion.text for completion in first + later} == {"{}"}
        assert styles(server)[count:] == [known] * 9
        await source.close()

    asyncio.run(run())


def test_a_storm_of_errors_does_not_change_the_style(serve, reply, error_reply):
    storm = True

    def script(body: dict, before: int):
        return error_reply(500, "busy") if storm else reply("{}")

    server = serve(script)

    async def run() -> None:
        nonlocal storm
        source = OpenAISource("m", server.url)
        asked = [source.complete(request(str(i), SCHEMA)) for i in range(8)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, TryAgain) for one in found)
        assert len(server.seen) == 8 + 3  # one of them, again and in both other styles
        storm = False
        await source.complete(request("later", SCHEMA))
        assert styles(server)[-1] == "json_schema"
        await source.close()

    asyncio.run(run())


def test_a_request_that_is_refused_in_every_style_leaves_the_style(serve, reply, error_reply):
    def script(body: dict, before: int):
        is_long = body["messages"][0]["content"] == "long"
        return error_reply(400, "too many tokens") if is_long else reply("{}")

    server = serve(script)

    async def run() -> None:
        source = OpenAISource("m", server.url)
        with pytest.raises(RequestFailed, match="too many tokens"):
            await source.complete(request("long", SCHEMA))
        assert (await source.complete(request("short", SCHEMA))).text == "{}"
        assert styles(server) == ["json_schema", "json_object", "none", "json_schema"]
        with pytest.raises(RequestFailed, match="too many tokens"):
            await source.complete(request("long", SCHEMA))
        assert len(server.seen) == 5  # the style is known: it is asked once
        await source.close()

    asyncio.run(run())


def test_options_that_are_refused_by_name(serve, reply, error_reply):
    def script(body: dict, before: int):
        for option in ("max_tokens", "temperature"):
            if option in body:
                return error_reply(400, f"no {option} here", param=option)
        return reply("yes")

    server = serve(script)
    assert {one.text for one in ask(server.url, *[request(str(i)) for i in range(5)])} == {"yes"}
    last = server.bodies()[-1]
    assert last["max_completion_tokens"] == 512
    assert {"max_tokens", "temperature"}.isdisjoint(last)


@pytest.mark.parametrize("status", [401, 400, 500, 200])
def test_the_key_is_sent_and_nowhere_else(serve, reply, monkeypatch, caplog, status):
    """A server that repeats the key wherever it can, and everything that a log could hold."""
    monkeypatch.setenv("A_KEY", f" {KEY}\n")
    text = f"you sent {KEY}"

    def script(body: dict, before: int):
        told = {"error": {"message": text, "code": KEY, "param": KEY}}
        return reply(text, status=status, body=None if status == 200 else told)

    server = serve(script)
    with caplog.at_level(logging.DEBUG):
        (found,) = ask(server.url, request(), api_key_env="A_KEY")
    assert server.seen[0][0]["Authorization"] == f"Bearer {KEY}"
    written = [repr(found), str(found), caplog.text, repr(vars(found))]
    if isinstance(found, BaseException):
        written += traceback.format_exception(found)
        written.append(str(found.args))
    else:
        assert found.text == "you sent ***"
    assert not [part for part in written if KEY in part or KEY[:12] in part]


def test_a_source_shows_no_key(monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    source = OpenAISource("m", "http://127.0.0.1:1/v1", "A_KEY")
    assert KEY not in repr(source) + str(source)


def test_the_users_openai_key_does_not_reach_another_endpoint(serve, reply, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = serve(lambda body, before: reply("yes"))
    ask(server.url, request())
    assert KEY not in str(server.seen)


def test_openai_itself_needs_its_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        OpenAISource("gpt")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    source = OpenAISource("gpt")
    assert source.body(request())["max_completion_tokens"] == 512


@pytest.mark.parametrize("value", ["a b", "é" * 10, "a\nb"])
def test_a_key_that_cannot_be_is_not_shown(monkeypatch, value):
    monkeypatch.setenv("A_KEY", value)
    with pytest.raises(UserError, match="A_KEY: has characters that no key has") as caught:
        OpenAISource("m", "http://127.0.0.1:1/v1", "A_KEY")
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "ftp://a/v1",
        "http://",
        "http://a:port/v1",
        "http:///v1",
        f"http://{'a' * 70}/v1",
    ],
)
def test_a_url_that_cannot_be(url):
    with pytest.raises(UserError, match=r"llm\.base_url: must be like"):
        OpenAISource("m", url)


@pytest.mark.parametrize("url", ["http://me:secret@a/v1", "http://a/v1?key=secret"])
def test_a_url_with_a_secret_is_refused_and_not_shown(url):
    with pytest.raises(UserError, match="no password") as caught:
        OpenAISource("m", url)
    assert "secret" not in str(caught.value)


def test_a_model_is_needed():
    with pytest.raises(UserError, match=r"llm\.model"):
        OpenAISource("", "http://127.0.0.1:1/v1")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(UserError, match=r"httpx2: is not .*\(extra llm\): pip install httpx2"):
        OpenAISource("m", "http://127.0.0.1:1/v1")
