"""A server that sends anything: its reply is a failed try, is counted, and never ends a run."""

import asyncio
import gzip
import json
import math
import random
import resource
import zlib
from pathlib import Path

import pytest

from recbole_intent.cli.main import main
from recbole_intent.enrich.intents.answers import Prediction
from recbole_intent.llm.answers import MalformedAnswer, parse_answer
from recbole_intent.llm.asking import LocalAsker
from recbole_intent.llm.batch_files import import_batch
from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.client import Answer, ChatClient, ChatRequest, RequestFailed
from recbole_intent.llm.openai_source import OpenAISource
from recbole_intent.llm.retry import Retry, retry_after
from recbole_intent.llm.sources import Completion
from recbole_intent.utils.errors import UserError

QUICK = Retry(max_tries=2, time_limit=20, first_wait=0.01, longest_wait=0.02)
GOOD = {"choices": [{"message": {"role": "assistant", "content": "fine"}}]}
LIMIT = 200_000  # bytes of a reply


def deep(levels: int) -> bytes:
    return b'{"choices": ' + b"[" * levels + b"]" * levels + b"}"


def packed(size: int) -> bytes:
    return gzip.compress(b" " * size, 9)


def choice(message: object) -> dict:
    return {"choices": [{"message": message}]}


def raw(*lines: str, body: bytes = b"{}") -> dict:
    head = "".join(f"{line}\r\n" for line in lines)
    return {"fault": "raw", "body": f"{head}\r\n".encode("latin-1") + body}


NINES = "9" * 5000
# Name -> what the server does with the request.
NO_ANSWERS = {
    "nothing": {"body": b""},
    "no JSON": {"body": b"<html>\x1b[2J</html>"},
    "half": {"body": b'{"choices": [{"message": {"content": "ye'},
    "latin-1": {"body": json.dumps(choice({"content": "é"}), ensure_ascii=False).encode("latin-1")},
    "UTF-16": {"body": json.dumps(GOOD).encode("utf-16")},
    "a list": {"body": []},
    "null": {"body": b"null"},
    "NaN": {"body": b"NaN"},
    "a long number": {"body": NINES.encode()},
    "shallow nesting": {"body": deep(300)},
    "deep nesting": {"body": deep(900)},
    "deeper nesting": {"body": deep(90_000)},
    "a nested error": {"body": b'{"error": ' + b"[" * 900 + b"1" + b"]" * 900 + b"}"},
    "no keys": {"body": {}},
    "choices null": {"body": {"choices": None}},
    "choices a text": {"body": {"choices": "fine"}},
    "choices an object": {"body": {"choices": {"0": {"message": {"content": "a"}}}}},
    "choice null": {"body": {"choices": [None]}},
    "message null": {"body": choice(None)},
    "message empty": {"body": choice({})},
    "content a list": {"body": choice({"content": [{"type": "text", "text": "a"}]})},
    "content an object": {"body": choice({"content": {}})},
    "content a number": {"body": choice({"content": 5})},
    "content false": {"body": choice({"content": False})},
    "refusal a list": {"body": choice({"content": None, "refusal": []})},
    "error true": {"body": {**GOOD, "error": True}},
    "error of numbers": {"body": b'{"error": {"message": %s, "code": []}}' % NINES.encode()},
    "HTTP 400 of lists": {"status": 400, "body": {"error": {"param": [], "code": {}}}},
    "HTTP 400, charset": {
        "status": 400,
        "body": b"\xff\x00",
        "headers": {"Content-Type": "application/json; charset=undefined"},
    },
    "HTTP 400, nested": {"status": 400, "body": deep(900)},
    "HTTP 500, long": {"status": 500, "body": b"x" * (LIMIT + 1)},
    "HTTP 204": raw("HTTP/1.1 204 No Content", body=b""),
    "HTTP 101": raw("HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: Upgrade"),
    "HTTP 999": raw("HTTP/1.1 999 \xe9", "Content-Length: 2"),
    "no HTTP": raw("SSH-2.0-x"),
    "no status": raw("HTTP/1.1 abc", "Content-Length: 2"),
    "a byte of header": raw("HTTP/1.1 200 OK", "X: \x00"),
    "long headers": raw("HTTP/1.1 200 OK", *[f"X-{i}: {'a' * 900}" for i in range(500)]),
    "too short": raw("HTTP/1.1 200 OK", "Content-Length: 900"),
    "negative length": raw("HTTP/1.1 200 OK", "Content-Length: -1"),
    "two lengths": raw("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3"),
    "a length of digits": raw("HTTP/1.1 200 OK", f"Content-Length: {NINES}"),
    "chunks of words": raw("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"xyz\r\n"),
    "another transfer": raw("HTTP/1.1 200 OK", "Transfer-Encoding: gzip"),
    "endless": {"fault": "endless", "body": b"x" * 1000},
    "long": {"body": b" " * (LIMIT + 1) + json.dumps(GOOD).encode()},
    "gzip bomb": {"body": packed(50_000_000), "headers": {"Content-Encoding": "gzip"}},
    "deflate bomb": {
        "body": zlib.compress(b" " * 50_000_000, 9),
        "headers": {"Content-Encoding": "deflate"},
    },
    "a bomb with an error": {
        "status": 503,
        "body": packed(50_000_000),
        "headers": {"Content-Encoding": "gzip"},
    },
    "gzip cut off": {
        "body": gzip.compress(json.dumps(GOOD).encode())[:-20],
        "headers": {"Content-Encoding": "gzip"},
    },
    "no gzip": {"body": GOOD, "headers": {"Content-Encoding": "gzip"}},
    "brotli": {"body": b"\x0b\x02\x80", "headers": {"Content-Encoding": "br"}},
    "gzip in gzip": {"body": packed(9), "headers": {"Content-Encoding": "gzip, " * 500 + "gzip"}},
    "drip": {"fault": "drip", "body": GOOD},
    "hang": {"fault": "hang"},
    "reset": {"fault": "reset"},
    "a wish": {"status": 429, "headers": {"Retry-After": NINES}},
}
# Name -> `usage` of an answer that is otherwise good.
USAGES = {
    "absent": None,
    "a list": [1, 2],
    "texts": {"prompt_tokens": "7", "completion_tokens": "3"},
    "negative": {"prompt_tokens": -7, "completion_tokens": -(2**70)},
    "bools": {"prompt_tokens": True, "completion_tokens": False},
    "fractions": {"prompt_tokens": 7.5, "completion_tokens": 3.0},
    "no numbers": {"prompt_tokens": math.nan, "completion_tokens": math.inf},
    "4,000 digits": {"prompt_tokens": 10**3999, "completion_tokens": 10**3999},
    "64 bits": {"prompt_tokens": 2**63 - 1, "completion_tokens": 2**64},
    "objects": {"prompt_tokens": {}, "completion_tokens": None},
}
CHARSETS = ("hex", "base64", "rot13", "idna", "undefined", "utf-16", "unicode_escape", "\xff", "")


def request(text: object) -> ChatRequest:
    return ChatRequest(({"role": "user", "content": str(text)},), tag="test@1")


def text_of(body: dict) -> str:
    return body["messages"][0]["content"]


def ask(path: Path, url: str, texts, api_key_env: str | None = None, **options):
    """What a client answers to each text; the client, with its counters."""

    async def run() -> tuple[list[Answer | RequestFailed], ChatClient]:
        source = OpenAISource("m", url, api_key_env, timeout=1.0, max_bytes=LIMIT)
        with AnswerCache(path) as cache:
            async with ChatClient(source, cache, retry=QUICK, **options) as client:
                return await client.ask_all(map(request, texts)), client

    return asyncio.run(run())


def test_a_reply_that_is_no_answer_fails_its_request_alone(serve, reply, tmp_path):
    server = serve(lambda body, _: reply(**NO_ANSWERS.get(text_of(body), {"body": GOOD})))
    path = tmp_path / "answers.sqlite"
    texts = [text for name in NO_ANSWERS for text in (f"before {name}", name)]
    found, client = ask(path, server.url, texts)
    answers = dict(zip(texts, found, strict=True))
    failed = {text for text, answer in answers.items() if isinstance(answer, RequestFailed)}
    assert failed == set(NO_ANSWERS)
    assert {answers[text].text for text in texts if text not in failed} == {"fine"}
    assert client.progress.failed == sum(client.progress.reasons.values()) == len(NO_ANSWERS)
    with AnswerCache(path) as cache:
        assert len(cache) == len(texts) - len(failed)  # nothing bad was kept
    server.script = lambda body, _: reply(body=GOOD)
    again, _ = ask(path, server.url, texts)
    assert {answer.text for answer in again} == {"fine"}


def test_no_bomb_takes_memory(serve, reply, tmp_path):
    names = [name for name in NO_ANSWERS if "bomb" in name]
    server = serve(lambda body, _: reply(**NO_ANSWERS[text_of(body)]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ask(tmp_path / "answers.sqlite", server.url, names)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20_000  # KiB; unpacked they are 50 MB each


@pytest.mark.parametrize("name", USAGES)
def test_a_count_that_cannot_be_is_no_count(serve, reply, tmp_path, name):
    body = json.dumps({**GOOD, "usage": USAGES[name]}) if "digits" not in name else None
    if body is None:  # Python itself writes no number of so many digits
        usage = f'{{"prompt_tokens": {NINES[:4000]}, "completion_tokens": {NINES}}}'
        body = f'{json.dumps(GOOD)[:-1]}, "usage": {usage}}}'
    server = serve(lambda *_: reply(body=body.encode()))
    path = tmp_path / "answers.sqlite"
    for is_cached in (False, True):
        (found,), _ = ask(path, server.url, ["a"])
        assert found == Answer("fine", 0, 0, cached=is_cached)


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("packing", ["", "gzip", "deflate"])
def test_an_answer_is_utf_8_whatever_its_headers_say(serve, reply, tmp_path, charset, packing):
    content = json.dumps(choice({"content": "é…漢"}), ensure_ascii=False).encode()
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(packing, bytes)
    headers = {"Content-Type": f"application/json; charset={charset}"}
    headers |= {"Content-Encoding": packing} if packing else {}
    server = serve(lambda *_: reply(body=pack(b"\xef\xbb\xbf" + content), headers=headers))
    (found,), _ = ask(tmp_path / "answers.sqlite", server.url, ["a"])
    assert found.text == "é…漢"


@pytest.mark.parametrize("charset", CHARSETS)
def test_an_error_is_utf_8_whatever_its_headers_say(serve, reply, tmp_path, charset):
    headers = {"Content-Type": f"application/json; charset={charset}"}
    body = '{"error": {"message": "zu groß \\u001b[2J"}}'.encode()
    server = serve(lambda *_: reply(status=400, body=body, headers=headers))
    (found,), _ = ask(tmp_path / "answers.sqlite", server.url, ["a"])
    assert found.reason == "HTTP 400: zu groß \ufffd[2J"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
@pytest.mark.parametrize("location", ["absolute", "/elsewhere", "//a\x1b[2J", "http://[", None])
def test_no_redirect_is_followed(serve, reply, tmp_path, status, location):
    other = serve(lambda *_: reply(body=GOOD))
    place = other.url if location == "absolute" else location
    headers = {"Location": place.encode("latin-1").decode("latin-1")} if place else {}
    server = serve(lambda *_: reply(status=status, headers=headers, body=b""))
    with pytest.raises(UserError) as caught:
        ask(tmp_path / "answers.sqlite", server.url, ["a", "b"])
    said = str(caught.value)
    assert said.startswith(f"{server.url}: sends requests on to ")
    assert f"HTTP {status}" in said
    assert "\x1b" not in said
    assert place is None or place.replace("\x1b", "\ufffd") in said
    assert not other.seen


def test_a_redirect_in_the_middle_fails_its_request_alone(serve, reply, tmp_path):
    """A server that has answered is the right one."""
    there = {"status": 302, "headers": {"Location": "http://127.0.0.1:9/login"}}
    server = serve(lambda body, _: reply(**(there if text_of(body) == "5" else {"body": GOOD})))
    found, client = ask(tmp_path / "answers.sqlite", server.url, range(9), concurrency=1)
    assert [isinstance(one, RequestFailed) for one in found].count(True) == 1
    assert client.progress.reasons == {"HTTP 302": 1}


def test_no_cookie_is_kept(serve, reply, tmp_path):
    cookie = {"Set-Cookie": "a=b; Path=/; Max-Age=9999"}
    server = serve(lambda *_: reply(body=GOOD, headers=cookie))
    ask(tmp_path / "answers.sqlite", server.url, range(20))
    assert not [headers for headers, _ in server.seen if "Cookie" in headers]


OF_OPENAI = {
    "OPENAI_API_KEY": "sk-openai-0123456789",
    "OPENAI_ORG_ID": "org-secret",
    "OPENAI_PROJECT_ID": "proj-secret",
    "OPENAI_ADMIN_KEY": "sk-admin-secret",
    "OPENAI_WEBHOOK_SECRET": "whsec-secret",
    "OPENAI_CUSTOM_HEADERS": "X-Secret: secret",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/secret",
}


def test_nothing_of_openais_environment_reaches_another_endpoint(
    serve, reply, tmp_path, monkeypatch
):
    for name, value in OF_OPENAI.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("A_KEY", "sk-of-this-endpoint")
    server = serve(lambda *_: reply(body=GOOD))
    ask(tmp_path / "1.sqlite", server.url, ["a"])
    ask(tmp_path / "2.sqlite", server.url, ["a"], api_key_env="A_KEY")
    assert len(server.seen) == 2
    assert not [value for value in OF_OPENAI.values() if value in str(server.seen)]
    assert server.seen[1][0]["Authorization"] == "Bearer sk-of-this-endpoint"
    # What the user names is what the user chose.
    ask(tmp_path / "3.sqlite", server.url, ["a"], api_key_env="OPENAI_API_KEY")
    assert server.seen[2][0]["Authorization"] == "Bearer sk-openai-0123456789"
    assert "Openai-Organization" not in server.seen[2][0]


@pytest.mark.parametrize(
    ("url", "is_openai"),
    [
        (None, True),
        ("https://api.openai.com/v1/", True),
        ("https://eu.api.openai.com/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com.example.org/v1", False),
        ("https://notapi.openai.com/v1", False),
        ("https://example.org/api.openai.com", False),
    ],
)
def test_openai_alone_is_sent_its_environment(monkeypatch, url, is_openai):
    for name, value in OF_OPENAI.items():
        monkeypatch.setenv(name, value)
    headers = OpenAISource("m", url)._endpoint._client.headers
    assert headers["Authorization"] == f"Bearer {OF_OPENAI['OPENAI_API_KEY'] * is_openai or 'none'}"
    assert headers.get("OpenAI-Organization") == ("org-secret" if is_openai else None)
    assert headers.get("OpenAI-Project") == ("proj-secret" if is_openai else None)
    assert "X-Secret" not in headers


@pytest.mark.parametrize(
    ("name", "value"),
    [("OPENAI_ORG_ID", "a\nX-Evil: b"), ("HTTPS_PROXY", "ftp://me:secret@a"), ("ALL_PROXY", "::")],
)
def test_an_environment_that_cannot_be_used_is_named(monkeypatch, name, value):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=name) as caught:
        OpenAISource("m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "1e999", NINES, "soon", "\x00", "²", "1e6"]
)
def test_a_wish_to_wait_that_makes_no_sense_is_none(value):
    assert not retry_after(value)


@pytest.mark.parametrize(
    "date", ["Mon, 1 Jan 0001 00:00:00 +2359", "Mon, 1 Jan 9999999999 00:00:00", "1 2 3 4 5 6", ","]
)
def test_a_date_that_cannot_be_is_no_wish(date):
    assert not retry_after(date)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 400 + "]" * 400,
        '{"intents": ' + "[" * 300 + "]" * 300 + "}",
        '{"intents": ' + "[" * 900 + "]" * 900 + "}",
        "[" * 100_000,
        f'{{"intents": ["a"], "next_item": {NINES}}}',
        '{"intents": ["a"], "next_item": NaN}',
        '{"intents": {"0": "a"}, "next_item": true}',
        "<think>" * 200_000 + "{",
    ],
)
def test_a_text_that_is_no_usable_answer_is_malformed(text):
    with pytest.raises(MalformedAnswer):
        parse_answer(text, Prediction)


def test_an_imported_line_is_read_like_a_reply(tmp_path, caplog):
    """The bodies of the table above, as results of a batch."""
    bodies = {
        name: one["body"]
        if isinstance(one.get("body"), bytes)
        else json.dumps(one["body"]).encode()
        for name, one in NO_ANSWERS.items()
        if one.get("status", 200) == 200 and not one.get("fault") and "headers" not in one
    }
    del bodies["long"]  # of a reply; a line may be longer
    good = json.dumps({**GOOD, "usage": {"prompt_tokens": -1, "completion_tokens": True}}).encode()
    line = b'{"custom_id": "%s", "response": {"status_code": 200, "body": %s}}\n'
    path = tmp_path / "out.jsonl"
    path.write_bytes(
        b"".join(line % (b"%064x" % i, body) for i, body in enumerate(bodies.values()))
        + b'{"custom_id": %s}\n' % NINES.encode()
        + b'{"custom_id": %s1%s}\n' % (b"[" * 900, b"]" * 900)
        + b'{"custom_id": "%s", "x": "%s"}\n' % (b"a" * 64, b" " * 9_000_000)
        + line % (b"f" * 64, good)
    )
    with AnswerCache(tmp_path / "answers.sqlite") as cache:
        assert import_batch(path, cache) == (1, len(bodies) + 3)
        assert len(cache) == 1
        assert cache.get("f" * 64) == Completion("fine", 0, 0)
    assert not [said for said in caplog.messages if not said.isprintable()]


def test_a_cache_with_other_types_is_no_answer(tmp_path):
    with AnswerCache(tmp_path / "answers.sqlite") as cache:
        rows = [("a", b"\xff", 1, 1), ("b", "text", "many", -5), ("c", "text", 2.5, 2**62)]
        cache._writer.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, '')", rows)
        assert cache.get("a") is None
        assert cache.get("b") == cache.get("c") == Completion("text", 0, 0)


def anything(rng: random.Random, depth: int = 0) -> object:
    """A JSON value of any shape, with the names that an answer has."""
    plain = [None, True, -1, 0.5, math.nan, 2**70, "", "a\x1b[2J\u202e", "\ud800", "fine"]
    if depth > 4 or rng.random() < 0.3:
        return rng.choice(plain)
    if rng.random() < 0.4:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(3))]
    names = ["choices", "message", "content", "refusal", "usage", "error", "prompt_tokens", "code"]
    return {rng.choice(names): anything(rng, depth + 1) for _ in range(rng.randrange(4))}


def test_replies_of_any_shape(serve, reply, tmp_path):
    """300 of them, with any status but those that speak for all requests."""
    rng = random.Random(5)

    def script(body: dict, before: int):
        status = rng.choice([200] * 6 + [201, 400, 422, 500, 503])
        value = {"choices": [{"message": anything(rng)}], "usage": anything(rng)}
        content = json.dumps(value if rng.random() < 0.5 else anything(rng)).encode()
        if rng.random() < 0.2:
            content = content[: rng.randrange(len(content))]
        return reply(status=status, body=content)

    server = serve(script)
    with AnswerCache(tmp_path / "answers.sqlite") as cache:
        asker = LocalAsker(OpenAISource("m", server.url), cache, 8)
        asker._client._retry, asker._client._max_failures = QUICK, 1000
        found = asker.ask_all([request(i) for i in range(300)])
        asker.close()
        answers = [one for one in found if isinstance(one, Answer)]
        assert all(isinstance(one, Answer | RequestFailed) for one in found)
        assert len(cache) == len(answers) > 0
        assert {(one.prompt_tokens, one.completion_tokens) for one in answers} == {(0, 0)}


@pytest.fixture
def quick(monkeypatch):
    """Waits between tries that a test can wait for."""
    monkeypatch.setattr("recbole_intent.llm.client.Retry", lambda: QUICK)


def enrich(shop: Path, folder: Path, url: str) -> int:
    words = ["enrich", "--for=VELI4SBR", "--dataset=shop", f"--data_path={shop}", "--llm.model=m"]
    places = [f"--llm.base_url={url}", f"--output={folder}", f"--cache={folder}/answers.sqlite"]
    return main([*words, *places, "--negatives=3"])


def test_a_whole_run_among_hostile_replies(serve, reply, shop, shop_model, tmp_path, quick, capsys):
    slow = ("drip", "hang", "endless")
    hostile = [one for one in NO_ANSWERS.values() if one.get("fault") not in slow]

    def script(body: dict, before: int):
        number = len(server.seen)
        return shop_model(body, before) if number % 3 else reply(**hostile[number % len(hostile)])

    server = serve(script)
    assert enrich(shop, tmp_path, server.url) in (0, 1)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "sessions (" in said.out
    assert (tmp_path / "shop.intent").is_file()


def test_a_redirect_is_one_line_of_the_command(serve, reply, shop, tmp_path, quick, capsys):
    there = "http://127.0.0.1:9/v1"
    server = serve(lambda *_: reply(status=308, headers={"Location": there}))
    assert enrich(shop, tmp_path, server.url) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {server.url}: sends requests on to {there} (HTTP 308)")
    assert not (tmp_path / "shop.intent").exists()
