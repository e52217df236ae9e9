"""Many questions at once: repeated where it helps, stopped where it does not, paid for once."""

import asyncio
import itertools
import json
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.client import Answer, ChatClient, ChatRequest, RequestFailed
from recbole_intent.llm.openai_source import OpenAISource
from recbole_intent.llm.retry import Retry
from recbole_intent.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
QUICK = Retry(max_tries=4, time_limit=30, first_wait=0.01, longest_wait=0.05)


def request(text: object) -> ChatRequest:
    return ChatRequest(({"role": "user", "content": str(text)},), tag="test@1")


def text_of(body: dict) -> str:
    return body["messages"][0]["content"]


async def gather(client: ChatClient, texts) -> list:
    asked = [client.ask(request(text)) for text in texts]
    return await asyncio.gather(*asked, return_exceptions=True)


def ask(path: Path, url: str, texts, *, timeout: float = 30.0, **options) -> tuple:
    """What a client answers or raises for each text; the client, with its counters."""
    options = {"retry": QUICK, **options}

    async def run() -> tuple:
        with AnswerCache(path) as cache:
            async with ChatClient(OpenAISource("m", url, timeout=timeout), cache, **options) as it:
                return await gather(it, texts), it

    return asyncio.run(run())


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "answers.sqlite"


def test_answers_are_those_of_their_requests_and_cost_nothing_later(serve, reply, path):
    server = serve(lambda body, before: reply(f"to {text_of(body)}"))
    found, client = ask(path, server.url, range(20))
    assert found == [Answer(f"to {i}", 7, 3, cached=False) for i in range(20)]
    progress = client.progress
    assert (progress.asked, progress.cached, progress.failed, progress.done) == (20, 0, 0, 20)
    assert (progress.prompt_tokens, progress.completion_tokens) == (140, 60)
    again, client = ask(path, server.url, range(20))
    assert again == [Answer(f"to {i}", 7, 3, cached=True) for i in range(20)]
    assert (client.progress.asked, client.progress.cached) == (0, 20)
    assert client.progress.prompt_tokens == 0
    assert len(server.seen) == 20


def test_as_many_are_under_way_as_asked_for(serve, reply, path):
    server = serve(lambda body, before: reply("a", seconds=0.1))
    ask(path, server.url, range(12), concurrency=4)
    assert server.most_at_once == 4


def test_equal_requests_at_once_are_one(serve, reply, path):
    server = serve(lambda body, before: reply("a", seconds=0.1))
    found, client = ask(path, server.url, ["x"] * 5)
    assert Counter(answer.cached for answer in found) == {True: 4, False: 1}
    assert len(server.seen) == 1
    assert client.progress.done == 5


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 429},
        {"fault": "reset"},
        {"fault": "truncated"},
        {"fault": "hang"},
        {"body": b"garbage"},
    ],
)
def test_what_passes_is_tried_again(serve, reply, path, fault):
    server = serve(lambda body, before: reply(text_of(body), **({} if before == 2 else fault)))
    found, client = ask(path, server.url, range(3), timeout=0.5)
    assert [answer.text for answer in found] == ["0", "1", "2"]
    assert client.progress.retried == 6
    assert client.progress.failed == 0


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        ({"status": 500}, "HTTP 500", 4),
        ({"status": 400}, "HTTP 400", 1),
        ({"fault": "reset"}, "broken connection", 4),
        ({"fault": "truncated"}, "broken connection", 4),
        ({"fault": "hang"}, "time-out", 4),
        ({"body": b"garbage"}, "no completion", 4),
        ({"body": b"x" * 10_000_000}, "too long", 1),
    ],
)
def test_a_request_that_cannot_succeed_fails_alone(serve, reply, path, fault, kind, tries):
    def script(body: dict, before: int):
        return reply("fine", **(fault if text_of(body) == "3" else {}))

    server = serve(script)
    found, client = ask(path, server.url, range(6), timeout=0.4)
    assert isinstance(found.pop(3), RequestFailed)
    assert [answer.text for answer in found] == ["fine"] * 5
    assert client.progress.reasons == {kind: 1}
    assert len(server.seen) == 5 + tries
    ask(path, server.url, range(6), timeout=0.4)  # what failed is asked again, and only that
    assert len(server.seen) == 5 + 2 * tries


def test_a_servers_wish_to_wait_holds_for_all(serve, reply, path):
    times = []

    def script(body: dict, before: int):
        times.append(time.monotonic())
        return reply(status=429, headers={"Retry-After": "1"}) if len(times) == 1 else reply("a")

    server = serve(script)
    found, _ = ask(path, server.url, range(4), concurrency=1)
    assert [answer.text for answer in found] == ["a"] * 4
    assert times[1] - times[0] >= 1
    assert len(server.seen) == 5


def test_a_wish_to_wait_too_long_fails_without_another_try(serve, reply, path):
    server = serve(lambda body, before: reply(status=503, headers={"Retry-After": "3600"}))
    found, _ = ask(path, server.url, range(3), concurrency=1)
    assert all("asks to wait" in error.reason for error in found)
    assert len(server.seen) == 1


def test_a_request_has_a_time_limit(serve, reply, path):
    server = serve(lambda body, before: reply("a", fault="hang"))
    limits = Retry(max_tries=100, time_limit=0.5, first_wait=0.01)
    found, client = ask(path, server.url, range(2), retry=limits)
    assert [error.reason for error in found] == ["no answer within 0.5 s"] * 2
    assert client.progress.reasons == {"time limit": 2}


@pytest.mark.parametrize(("status", "word"), [(401, "key"), (403, "key"), (404, "model")])
def test_an_error_that_is_everyones_stops_everything(serve, reply, path, error_reply, status, word):
    def script(body: dict, before: int):
        number = int(text_of(body))
        if number < 2:
            return reply("a")
        return error_reply(status, "no") if number == 2 else reply("never", fault="hang")

    server = serve(script)
    ask(path, server.url, range(2))
    found, _ = ask(path, server.url, range(200), concurrency=4)
    assert [answer.text for answer in found[:2]] == ["a", "a"]
    assert {type(error) for error in found[2:]} == {UserError}
    (message,) = {str(error) for error in found[2:]}
    assert word in message
    assert f"HTTP {status}" in message
    assert len(server.seen) <= 6  # what was under way; nothing new
    with AnswerCache(path) as cache:
        assert len(cache) == 2
        assert asyncio.run(cache.claim("x" * 64)) is True


def test_a_stopped_client_asks_no_more(serve, reply, path, error_reply):
    server = serve(lambda body, before: error_reply(401, "no"))

    async def run() -> None:
        with AnswerCache(path) as cache:
            async with ChatClient(OpenAISource("m", server.url), cache) as client:
                for text in "ab":
                    with pytest.raises(UserError, match="HTTP 401"):
                        await client.ask(request(text))

    asyncio.run(run())
    assert len(server.seen) == 1


def test_a_server_that_is_not_there_is_one_error(serve, reply, path):
    server = serve(lambda body, before: reply("a"))
    server.stop()
    found, _ = ask(path, server.url, range(5))
    (message,) = {str(error) for error in found}
    assert {type(error) for error in found} == {UserError}
    assert f"{server.url}: nothing answers there" in message


def test_a_server_that_is_gone_ends_the_run(serve, reply, path):
    server = serve(lambda body, before: reply(status=500, body=b"gone"))
    once = Retry(max_tries=1)
    options = {"concurrency": 1, "max_failures": 5, "retry": once}
    found, _ = ask(path, server.url, range(50), **options)
    assert all(isinstance(error, RequestFailed) for error in found[:4])
    (message,) = {str(error) for error in found[4:]}
    assert message.startswith("5 requests in a row got no answer, the last: failed once, at last: ")
    assert len(server.seen) == 5


def test_refusals_are_no_sign_of_a_server_that_is_gone(serve, reply, path):
    def script(body: dict, before: int):
        return reply(status=400 if int(text_of(body)) % 4 == 3 else 500)

    server = serve(script)
    options = {"concurrency": 1, "max_failures": 4, "retry": Retry(max_tries=1)}
    found, client = ask(path, server.url, range(40), **options)
    assert all(isinstance(error, RequestFailed) for error in found)
    assert client.progress.reasons == {"HTTP 400": 10, "HTTP 500": 30}


def test_one_who_goes_away_takes_no_answer_from_another(serve, reply, path):
    server = serve(lambda body, before: reply("a", seconds=0.2))

    async def run() -> None:
        with AnswerCache(path) as cache:
            async with ChatClient(OpenAISource("m", server.url), cache) as client:
                first = asyncio.create_task(client.ask(request("x")))
                await asyncio.sleep(0)
                second = asyncio.create_task(client.ask(request("x")))
                await asyncio.sleep(0.05)
                first.cancel()
                assert (await second).text == "a"
                with pytest.raises(asyncio.CancelledError):
                    await first

    asyncio.run(run())
    assert len(server.seen) == 1


def test_a_full_cache_stops_everything_with_one_error(serve, reply, path):
    server = serve(lambda body, before: reply(text_of(body) * 10_000))

    async def run() -> list:
        cache = AnswerCache(path)
        cache._writer.execute("PRAGMA max_page_count = 50")
        async with ChatClient(OpenAISource("m", server.url), cache, concurrency=2) as client:
            found = await gather(client, range(10, 60))
        cache._writer.execute("PRAGMA max_page_count = 100000")  # somebody made space
        cache.close()
        return found

    found = asyncio.run(run())
    errors = [one for one in found if isinstance(one, Exception)]
    (message,) = {str(error) for error in errors}
    assert {type(error) for error in errors} == {UserError}
    assert "all earlier answers are kept" in message
    count = len(server.seen)
    assert count < 50
    again, client = ask(path, server.url, range(10, 60))
    assert [answer.text for answer in again] == [str(i) * 10_000 for i in range(10, 60)]
    assert client.progress.cached >= len(found) - len(errors)


def test_a_long_list_is_asked_in_its_order_without_holding_it(serve, reply, path):
    read = 0

    def requests():
        nonlocal read
        for i in range(100):
            read += 1
            yield request(i)

    def script(body: dict, before: int):
        assert read <= len(server.seen) + 4 * 2  # the workers, not the list
        return reply(status=400) if text_of(body) == "7" else reply(f"to {text_of(body)}")

    server = serve(script)

    async def run() -> list:
        with AnswerCache(path) as cache:
            source = OpenAISource("m", server.url)
            async with ChatClient(source, cache, concurrency=2, retry=QUICK) as client:
                return await client.ask_all(requests())

    found = asyncio.run(run())
    assert isinstance(found.pop(7), RequestFailed)
    assert [answer.text for answer in found] == [f"to {i}" for i in range(100) if i != 7]


def test_a_long_list_ends_with_the_error_that_is_everyones(serve, path, error_reply):
    server = serve(lambda body, before: error_reply(401, "no"))

    async def run() -> None:
        with AnswerCache(path) as cache:
            async with ChatClient(OpenAISource("m", server.url), cache, concurrency=2) as client:
                with pytest.raises(UserError, match="HTTP 401"):
                    await client.ask_all(request(i) for i in range(100))
            assert len(asyncio.all_tasks()) == 1  # nothing goes on behind a closed client

    asyncio.run(run())
    assert len(server.seen) <= 2


@pytest.mark.parametrize("concurrency", [0, -1])
def test_concurrency_is_at_least_one(path, concurrency):
    with AnswerCache(path) as cache, pytest.raises(UserError, match="concurrency"):
        ChatClient(OpenAISource("m", "http://127.0.0.1:1/v1"), cache, concurrency=concurrency)


CHILD = """
    import asyncio, json, sys
    from recbole_intent.llm.cache import AnswerCache
    from recbole_intent.llm.client import ChatClient, ChatRequest
    from recbole_intent.llm.openai_source import OpenAISource
    path, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    async def one(client, text):
        message = {"role": "user", "content": str(text)}
        answer = await client.ask(ChatRequest((message,), tag="test@1"))
        print(json.dumps([text, answer.text]), flush=True)
    async def main():
        with AnswerCache(path) as cache:
            async with ChatClient(OpenAISource("m", url), cache, concurrency=8) as client:
                await asyncio.gather(*[one(client, text) for text in range(count)])
    asyncio.run(main())
"""


def child(path: Path, url: str, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(path), url, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def answers_of(process: subprocess.Popen) -> dict[int, str]:
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    return dict(map(json.loads, output.splitlines()))


def test_a_kill_loses_and_repeats_nothing_that_was_answered(serve, reply, path, tmp_path):
    number = itertools.count()

    def answers(body: dict, before: int):
        return reply(f"to {text_of(body)}")

    def until_the_kill(body: dict, before: int):
        return answers(body, before) if next(number) < 20 else reply(fault="hang")

    server = serve(until_the_kill)
    killed = child(path, server.url, 40)
    told = [json.loads(killed.stdout.readline()) for _ in range(20)]
    killed.kill()
    killed.communicate()
    server.script = answers
    resumed = answers_of(child(path, server.url, 40))
    assert resumed == {i: f"to {i}" for i in range(40)}
    assert resumed.items() >= dict(told).items()
    assert set(server.answered.values()) <= {0, 1}  # paid for once
    assert sum(server.answered.values()) == 40
    undisturbed, _ = ask(tmp_path / "other.sqlite", server.url, range(40))
    assert [answer.text for answer in undisturbed] == [resumed[i] for i in range(40)]


def test_two_processes_on_one_cache_ask_nothing_twice(serve, reply, path):
    server = serve(lambda body, before: reply(f"to {text_of(body)}", seconds=0.05))
    both = [child(path, server.url, 60) for _ in range(2)]
    for process in both:
        assert answers_of(process) == {i: f"to {i}" for i in range(60)}
    assert len(server.seen) == 60


def test_one_that_waits_for_a_killed_process_asks_itself(serve, reply, path):
    server = serve(lambda body, before: reply("a", fault="" if before else "hang"))
    other = child(path, server.url, 1)
    while not server.seen:
        assert other.poll() is None
        time.sleep(0.01)

    async def run() -> str:
        with AnswerCache(path) as cache:
            async with ChatClient(OpenAISource("m", server.url), cache) as client:
                waiting = asyncio.create_task(client.ask(request(0)))
                await asyncio.sleep(0.6)
                assert len(server.seen) == 1
                other.kill()
                other.communicate()
                return (await waiting).text

    assert asyncio.run(run()) == "a"
    assert len(server.seen) == 2


def test_the_key_is_in_no_file(serve, reply, path, monkeypatch, error_reply):
    key = "sk-test-0123456789abcdef"
    monkeypatch.setenv("A_KEY", key)

    def script(body: dict, before: int):
        return reply(f"key {key}") if text_of(body) != "2" else error_reply(400, f"key {key}")

    server = serve(script)

    async def run() -> tuple[list, ChatClient]:
        with AnswerCache(path) as cache:
            source = OpenAISource("m", server.url, "A_KEY")
            async with ChatClient(source, cache) as client:
                found = await gather(client, range(4))
                for file in path.parent.iterdir():  # the log of the database too
                    assert key.encode() not in file.read_bytes()
                return found, client

    found, client = asyncio.run(run())
    assert [getattr(one, "text", "failed") for one in found] == [
        "key ***", "key ***", "failed", "key ***"
    ]  # fmt: skip
    assert key not in repr(found) + repr(client.progress)
    assert key.encode() not in path.read_bytes()
