"""Requests out to a batch service's files, its results into the cache."""

import asyncio
import json
import random

import pytest

from recbole_intent.llm.batch_files import BatchExporter, BatchPending, import_batch, write_batch
from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.client import ChatClient
from recbole_intent.llm.openai_source import OpenAISource
from recbole_intent.llm.sources import ChatRequest, Completion, request_key
from recbole_intent.utils.errors import UserError


@pytest.fixture
def cache(tmp_path):
    with AnswerCache(tmp_path / "answers.sqlite") as it:
        yield it


@pytest.fixture
def source() -> OpenAISource:
    return OpenAISource("m", "http://127.0.0.1:1/v1")


def request(text: object) -> ChatRequest:
    return ChatRequest(({"role": "user", "content": f"é{text}"},), {"type": "object"}, tag="p@1")


def result(key: str, text: str) -> dict:
    body = {"choices": [{"message": {"content": text}}], "usage": None}
    return {"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def export(requests, source, cache, path) -> str:
    """Export what is missing; what is said of it."""
    with pytest.raises(BatchPending) as caught:
        BatchExporter(source, cache, path).ask_all(requests)
    return str(caught.value)


def test_a_run_after_the_import_asks_nothing(tmp_path, cache, source):
    """The server is not there: whatever is asked fails."""
    requests = [request(i) for i in range(30)]
    path = tmp_path / "batch.jsonl"
    assert export(requests, source, cache, path).startswith(f"30 requests: {path}. ")
    results = [result(line["custom_id"], f"to {line['body']['messages']}") for line in lines(path)]
    random.Random(1).shuffle(results)  # the service keeps no order
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
    assert import_batch(tmp_path / "out.jsonl", cache) == (30, 0)

    async def run() -> list[str]:
        async with ChatClient(source, cache) as client:
            return [(await client.ask(one)).text for one in requests]

    expected = [f"to {list(one.messages)}" for one in requests]
    assert asyncio.run(run()) == expected
    exporter = BatchExporter(source, cache, tmp_path / "none.jsonl")
    assert [answer.text for answer in exporter.ask_all(requests)] == expected
    assert exporter.progress.cached == 30
    assert not (tmp_path / "none.jsonl").exists()


def test_a_line_is_what_the_endpoint_would_be_sent(tmp_path, cache, source):
    export([request(1)], source, cache, tmp_path / "b.jsonl")
    (line,) = lines(tmp_path / "b.jsonl")
    assert line == {
        "custom_id": request_key(source, request(1)),
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": source.body(request(1)),
    }


def test_only_what_is_missing_is_exported_and_once(tmp_path, cache, source):
    asyncio.run(cache.store(request_key(source, request(0)), Completion("known")))
    export([request(0), request(1), request(1)], source, cache, tmp_path / "b.jsonl")
    assert [line["custom_id"] for line in lines(tmp_path / "b.jsonl")] == [
        request_key(source, request(1))
    ]


def test_long_exports_are_cut_where_the_service_wants_it(tmp_path, source):
    requests = {request_key(source, request(i)): request(i) for i in range(10)}
    path = tmp_path / "b.jsonl"
    written = write_batch(requests, source, path, max_requests=4)
    assert written == [tmp_path / name for name in ("b.jsonl", "b.2.jsonl", "b.3.jsonl")]
    together = [line for name in written for line in lines(name)]
    assert [len(lines(name)) for name in written] == [4, 4, 2]
    assert [line["custom_id"] for line in together] == list(requests)
    size = written[-1].stat().st_size  # two requests
    written = write_batch(requests, source, path, max_bytes=size)
    assert [len(lines(name)) for name in written] == [2] * 5
    assert [line for name in written for line in lines(name)] == together


def test_a_failing_export_leaves_no_file(tmp_path, source):
    requests = {"a" * 64: request(0), "b" * 64: None}
    with pytest.raises(AttributeError):
        write_batch(requests, source, tmp_path / "b.jsonl", max_requests=1)
    assert list(tmp_path.iterdir()) == []


KEY = "0" * 64


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"custom_id": "', "is not JSON (cut off?)"),
        ("[]", "has no custom_id"),
        ('{"custom_id": "mine", "response": {}}', "custom_id 'mine' is none that enrich exported"),
        ({"custom_id": KEY, "error": {"message": "expired"}}, "the service reports: expired"),
        ({"custom_id": KEY, "response": None, "error": None}, "has no response"),
        (
            {"custom_id": KEY, "response": {"status_code": 429, "body": {"error": "busy"}}},
            "HTTP 429: busy",
        ),
        ({"custom_id": KEY, "response": {"status_code": 200, "body": {}}}, "has no choices"),
    ],
)
def test_lines_without_an_answer_are_told_by_number(tmp_path, cache, caplog, line, problem):
    path = tmp_path / "out.jsonl"
    bad = line if isinstance(line, str) else json.dumps(line)
    path.write_text(f"\n{json.dumps(result('a' * 64, 'yes'))}\n{bad}\n")
    assert import_batch(path, cache) == (1, 1)
    assert len(cache) == 1
    (said,) = caplog.messages
    assert said.startswith(f"{path}:3: {problem}")


def test_not_every_line_is_told(tmp_path, cache, caplog):
    path = tmp_path / "out.jsonl"
    path.write_text("?\n" * 100)
    assert import_batch(path, cache) == (0, 100)
    assert caplog.messages[0] == f"{path}:1: is not JSON (cut off?)"
    assert caplog.messages[20:] == [f"{path}: … and 80 more such lines"]


def test_a_file_that_is_not_there_is_named(tmp_path, cache):
    with pytest.raises(UserError, match=r"out\.jsonl: cannot be read: No such file"):
        import_batch(tmp_path / "out.jsonl", cache)
