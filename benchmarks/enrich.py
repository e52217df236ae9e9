"""Asking language models: requests a second, cached answers a second, memory; and a whole rerun.

A server on loopback, in a process of its own, answers each request after 200 ms: with 32 at once,
160 requests/s is what there is to reach. Then 50,000 answers are read from a cache, with a source
that cannot be asked. Memory is that of this process: early, and at the end. Last, the whole of
`enrich --for=VELI4SBR` on made-up sessions, again, with all its answers in the cache.

python -m benchmarks.enrich [--concurrency=32] [--seconds=15] [--cached=50000] [--sessions=5000]
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from recbole_intent.enrich.cache import AnswerCache
from recbole_intent.enrich.client import ChatClient, ChatRequest, RequestFailed
from recbole_intent.enrich.openai_source import OpenAISource
from recbole_intent.enrich.sources import Completion, request_key

DELAY = 0.2  # seconds
SHARE = 0.9  # of the requests/s that there are to reach
LIMIT = 30  # seconds for reading what is cached
TEXT = json.dumps({"features": ["a feature of an item"] * 8})
ITEMS = 500  # of the made-up sessions


def serve(port: Connection) -> None:
    """Answer chat completions after a while, until killed."""
    body = json.dumps({"choices": [{"message": {"content": TEXT}}]}).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    reply = (head % len(body)).encode() + body

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                (length,) = (line for line in lines if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                await asyncio.sleep(DELAY)
                writer.write(reply)
        except asyncio.IncompleteReadError:
            writer.close()  # the client is done

    async def main() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def request(number: int) -> ChatRequest:
    """A question of the length of an item's fields."""
    text = f"item {number}: " + "words of a title and a description " * 20
    return ChatRequest(({"role": "user", "content": text},), tag="benchmark@1")


class NotAsked:
    """Fails every request: what is answered was in the cache."""

    name, model = "openai", "m"

    async def complete(self, request: ChatRequest) -> Completion:
        """Fail."""
        raise RequestFailed("was asked")

    async def close(self) -> None:
        """Nothing is open."""


def requests(numbers: range, most: list[int]) -> Iterator[ChatRequest]:
    """Questions, as they are taken; `most` gets the bytes of memory meanwhile."""
    for number in numbers:
        if number % 100 == 0:
            most.append(memory())
        yield request(number)


def memory() -> int:
    """Bytes that this process has in memory."""
    return psutil.Process().memory_info().rss


async def measure_asking(url: str, path: Path, concurrency: int, count: int) -> float:
    """Requests per second, with the cache on disk; prints memory."""
    first, most = 4 * concurrency, [0]  # the first: connections, imports
    with AnswerCache(path) as cache:
        async with ChatClient(OpenAISource("m", url), cache, concurrency=concurrency) as client:
            await client.ask_all(requests(range(first), most))
            early = memory()
            begin = time.perf_counter()
            await client.ask_all(requests(range(first, first + count), most))
            seconds = time.perf_counter() - begin
            assert client.progress.asked == first + count
    print(f"{'memory':12} {early / 2**20:7.0f} MiB early, {max(most) / 2**20:.0f} MiB at most")
    return count / seconds


async def measure_cached(path: Path, count: int) -> float:
    """Seconds to read `count` answers that are cached; prints memory."""
    source, stored, most = NotAsked(), Completion(TEXT, 200, 50), [0]
    with AnswerCache(path) as cache:
        for first in range(0, count, 1000):
            some = range(first, min(first + 1000, count))
            cache.store_all((request_key(source, request(i)), stored, "") for i in some)
        early = memory()
        async with ChatClient(source, cache) as client:
            begin = time.perf_counter()
            for first in range(0, count, 1000):  # as sessions come in windows
                some = range(first, min(first + 1000, count))
                await client.ask_all(requests(some, most))
            seconds = time.perf_counter() - begin
            assert client.progress.cached == count
    print(f"{'memory':12} {early / 2**20:7.0f} MiB before, {max(most) / 2**20:.0f} MiB at most")
    return seconds


def make_sessions(folder: Path, count: int) -> None:
    """The dataset `many`: training sessions of 4 to 15 items, and items of 30 words."""
    rng = random.Random(0)
    inter, split = ["user_id:token\titem_id:token\ttimestamp:float"], ["user_id:token\tpart:token"]
    for n in range(count):
        split.append(f"s{n}\ttrain")
        chosen = rng.sample(range(ITEMS), rng.randint(4, 15))
        inter += [f"s{n}\ti{item}\t{100 * n + place}" for place, item in enumerate(chosen)]
    items = [f"i{n}\titem {n}\t{'words of a description ' * 7}" for n in range(ITEMS)]
    items = ["item_id:token\ttitle:token_seq\tdescription:token_seq", *items]
    folder.mkdir()
    for suffix, lines in (("inter", inter), ("split", split), ("item", items)):
        (folder / f"many.{suffix}").write_text("\n".join(lines) + "\n")


def answer(line: str) -> str:
    """The result of a line of a batch: three intents, and the first candidate, which is chance."""
    asked = json.loads(line)
    words = asked["body"]["messages"][1]["content"]
    form = asked["body"]["response_format"]["json_schema"]["schema"]
    intents = [f"an intent of the sort {(len(words) + n) % 40}" for n in range(3)]
    found = {"features": ["a feature of an item"] * 3, "intents": intents, "reason": "it fits"}
    found["next_item"] = words.partition("Candidates:\n- [")[2].partition("]")[0]
    text = json.dumps({name: found[name] for name in form["required"]})
    body = {"choices": [{"message": {"content": text}}]}
    reply = {"response": {"status_code": 200, "body": body}}
    return json.dumps({"custom_id": asked["custom_id"], **reply}) + "\n"


def measure_again(place: Path, count: int) -> tuple[float, int]:
    """Seconds that `enrich` takes once all is answered, and how many answers it reads."""
    # Not before: the memory of the client alone was measured.
    from recbole_intent.enrich.batch_files import BatchPending
    from recbole_intent.enrich.options import read_options
    from recbole_intent.enrich.pipeline import enrich

    make_sessions(place / "many", count)
    # All sessions see one pool: so few turns of batch files fill the cache.
    given = {"llm.model": "m", "llm.base_url": "http://127.0.0.1:9/v1", "window": count}
    options, imported = read_options(given=given), None
    while True:
        asked = {"export_batch": place / "asked.jsonl", "import_batch": imported}
        try:
            enrich("many", options, place, **asked)
            break
        except BatchPending:
            imported = place / "answers.jsonl"
            with imported.open("w") as results:
                for file in place.glob("asked*.jsonl"):
                    with file.open() as lines:
                        results.writelines(map(answer, lines))
                    file.unlink()
    begin = time.perf_counter()
    done = enrich("many", options, place)
    assert done.asked == 0
    return time.perf_counter() - begin, done.cached


def main(arguments: list[str] | None = None) -> int:
    """Print rates and memory; return 1 where a limit is passed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--cached", type=int, default=50_000)
    parser.add_argument("--sessions", type=int, default=5000)
    given = parser.parse_args(arguments)
    best = given.concurrency / DELAY
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as place:
        url = f"http://127.0.0.1:{ours.recv()}/v1"
        count = int(best * given.seconds)
        cpu = time.process_time()
        rate = asyncio.run(measure_asking(url, Path(place, "a"), given.concurrency, count))
        cpu = time.process_time() - cpu
        server.kill()
        server.join()
        print(f"{'asked':12} {count:7,} with {given.concurrency} at once: {rate:.1f} requests/s")
        each = cpu / (count + 4 * given.concurrency)
        print(f"{'':12} {rate / best:7.1%} of {best:.0f}; a request takes {1000 * each:.1f} ms CPU")
        seconds = asyncio.run(measure_cached(Path(place, "b"), given.cached))
        print(f"{'cached':12} {given.cached:7,} answers in {seconds:.1f} s, no request")
        again, cached = measure_again(Path(place), given.sessions)
        print(
            f"{'enrich again':12} {given.sessions:7,} sessions, {cached:,} answers: {again:.1f} s"
        )
    is_good = rate >= SHARE * best and seconds < LIMIT
    print(f"{'good' if is_good else 'NOT good'}: {SHARE:.0%} and {LIMIT} s are asked for")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
