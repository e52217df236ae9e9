"""Throughput and memory of `enrich`: requests and cached answers per second.

A loopback server in its own process answers each request after 200 ms, so 32 concurrent requests
can reach at most 160 requests/s.

- asked: the step that requests item features, with its prompts, schema, parsing and cache.
- enrich: all of `enrich --for=VELI4SBR` on synthetic sessions, from an empty cache. Sessions are
  processed in windows, and an attempt waits for the previous one, so fewer than 32 requests run at
  the end of each window: the algorithm limits the rate, too.
- cached: 50,000 answers read from a cache, with a source that refuses requests.
- enrich again: as `enrich`, on more sessions, with all answers in the cache.

Memory is that of this process, at the start and at the end.

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
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.enrich.conversation import Manner
from recbole_intent.enrich.item_features import in_chunks, refine_features
from recbole_intent.enrich.report import StepCounts
from recbole_intent.llm.asking import LocalAsker
from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.client import ChatRequest, RequestFailed
from recbole_intent.llm.openai_source import OpenAISource
from recbole_intent.llm.sources import Completion, request_key

DELAY = 0.2  # seconds
SHARE = 0.9  # of the maximum requests/s
LIMIT = 30  # seconds to read the cached answers
TEXT = json.dumps({"features": ["a feature of an item"] * 8})
SPLIT = {"session_split": True}
ITEMS = 500  # of the synthetic sessions
SESSIONS = 640  # of the run with an empty cache


def serve(port: Connection) -> None:
    """Answer chat completions after `DELAY` seconds, until killed."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                (length,) = (line for line in lines if line.startswith(b"content-length:"))
                asked = await reader.readexactly(int(length.partition(b":")[2]))
                # By the clock: the time to make the answer is part of the 200 ms.
                ready = asyncio.get_running_loop().time() + DELAY
                body = json.dumps(completion(json.loads(asked))).encode()
                await asyncio.sleep(ready - asyncio.get_running_loop().time())
                writer.write((head % len(body)).encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()  # the client has finished

    async def main() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion: three intents and the first candidate, an arbitrary choice."""
    words = body["messages"][1]["content"]
    form = body["response_format"]["json_schema"]["schema"]
    intents = [f"an intent of the sort {(len(words) + n) % 40}" for n in range(3)]
    found = {"features": ["a feature of an item"] * 3, "intents": intents, "reason": "it fits"}
    found["next_item"] = words.partition("Candidates:\n- [")[2].partition("]")[0]
    text = json.dumps({name: found[name] for name in form["required"]})
    return {"choices": [{"message": {"content": text}}]}


def request(number: int) -> ChatRequest:
    """Return a request as long as an item's fields."""
    text = f"item {number}: " + "words of a title and a description " * 20
    return ChatRequest(({"role": "user", "content": text},), tag="benchmark@1")


class NotAsked:
    """A source that fails every request, so that all answers come from the cache."""

    name, model = "openai", "m"

    async def complete(self, request: ChatRequest) -> Completion:
        """Fail."""
        raise RequestFailed("was asked")

    async def close(self) -> None:
        """Nothing is open."""


def memory() -> int:
    """Return the memory of this process in bytes."""
    return psutil.Process().memory_info().rss


def measure_asking(url: str, place: Path, concurrency: int, count: int) -> float:
    """Return requests per second of a step of `enrich`, with the cache on disk; print memory."""
    first = 4 * concurrency  # connections, imports
    write_items(place / "many.item", first + count)
    texts, counts, most = ItemTexts(place / "many.item"), StepCounts(), [0]
    about = {"domain": "many", "most": 8, "attempts": 1, "counts": counts}
    with AnswerCache(place / "a") as cache:
        asker = LocalAsker(OpenAISource("m", url), cache, concurrency)
        features = partial(refine_features, asker, texts, manner=Manner(0.0, 512, 0), **about)
        for _ in features(range(first)):
            pass
        early, begin = memory(), time.perf_counter()
        for number, _ in enumerate(features(range(first, first + count))):
            if number % 100 == 0:
                most.append(memory())
        seconds = time.perf_counter() - begin
        asker.close()
        assert asker.progress.asked == counts.done == first + count
    print(f"{'memory':12} {early / 2**20:7.0f} MiB early, {max(most) / 2**20:.0f} MiB at most")
    return count / seconds


def measure_cached(path: Path, count: int) -> float:
    """Return the seconds to read `count` cached answers; print memory."""
    source, stored, most = NotAsked(), Completion(TEXT, 200, 50), [0]
    with AnswerCache(path) as cache:
        for first in range(0, count, 1000):
            some = range(first, min(first + 1000, count))
            cache.store_all((request_key(source, request(i)), stored, "") for i in some)
        asker = LocalAsker(source, cache, 8)
        early, begin = memory(), time.perf_counter()
        for numbers in in_chunks(range(count), asker.at_once):
            asker.ask_all(list(map(request, numbers)))
            most.append(memory())
        seconds = time.perf_counter() - begin
        asker.close()
        assert asker.progress.cached == count
    print(f"{'memory':12} {early / 2**20:7.0f} MiB before, {max(most) / 2**20:.0f} MiB at most")
    return seconds


def measure_first(url: str, place: Path, concurrency: int, count: int) -> tuple[float, int]:
    """Return the seconds and number of requests of `enrich` with an empty cache."""
    # Imported late, so as not to count in the memory of the single step.
    from recbole_intent.enrich.intents.pipeline import enrich
    from recbole_intent.enrich.options import read_options

    make_sessions(place / "many", count)
    given = {"llm.model": "m", "llm.base_url": url, "concurrency": concurrency}
    begin = time.perf_counter()
    done = enrich("many", read_options(given=given), place, split=SPLIT)
    assert done.cached == 0
    return time.perf_counter() - begin, done.asked


def write_items(path: Path, count: int) -> None:
    """Write the .item file of items with 30 words each."""
    items = [f"i{n}\titem {n}\t{'words of a description ' * 7}" for n in range(count)]
    items = ["item_id:token\ttitle:token_seq\tdescription:token_seq", *items]
    path.write_text("\n".join(items) + "\n")


def make_sessions(folder: Path, count: int) -> None:
    """Write the dataset `many`: training sessions of 4 to 15 items, a few later ones, and items."""
    rng = random.Random(0)
    inter, split = ["user_id:token\titem_id:token\ttimestamp:float"], ["user_id:token\tpart:token"]
    for n in range(count + 20):
        part = "train" if n < count else "valid" if n < count + 10 else "test"
        split.append(f"s{n}\t{part}")
        chosen = rng.sample(range(ITEMS), rng.randint(4, 15))
        inter += [f"s{n}\ti{item}\t{100 * n + place}" for place, item in enumerate(chosen)]
    folder.mkdir(parents=True)
    write_items(folder / "many.item", ITEMS)
    for suffix, lines in (("inter", inter), ("split", split)):
        (folder / f"many.{suffix}").write_text("\n".join(lines) + "\n")


def answer(line: str) -> str:
    """Return the result of one line of a batch."""
    asked = json.loads(line)
    reply = {"response": {"status_code": 200, "body": completion(asked["body"])}}
    return json.dumps({"custom_id": asked["custom_id"], **reply}) + "\n"


def measure_again(place: Path, count: int) -> tuple[float, int]:
    """Return the seconds of `enrich` with all answers cached, and the number of answers."""
    from recbole_intent.enrich.intents.pipeline import enrich
    from recbole_intent.enrich.options import read_options
    from recbole_intent.llm.batch_files import BatchPending

    make_sessions(place / "many", count)
    # All sessions share one pool, so a few rounds of batch files fill the cache.
    given = {"llm.model": "m", "llm.base_url": "http://127.0.0.1:9/v1", "window": count}
    options, imported = read_options(given=given), None
    while True:
        asked = {"export_batch": place / "asked.jsonl", "import_batch": imported}
        try:
            enrich("many", options, place, split=SPLIT, **asked)
            break
        except BatchPending:
            imported = place / "answers.jsonl"
            with imported.open("w") as results:
                for file in place.glob("asked*.jsonl"):
                    with file.open() as lines:
                        results.writelines(map(answer, lines))
                    file.unlink()
    begin = time.perf_counter()
    done = enrich("many", options, place, split=SPLIT)
    assert done.asked == 0
    return time.perf_counter() - begin, done.cached


def main(arguments: list[str] | None = None) -> int:
    """Print rates and memory; return 1 if a limit is exceeded, else 0."""
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
        rate = measure_asking(url, Path(place), given.concurrency, count)
        cpu = time.process_time() - cpu
        print(f"{'asked':12} {count:7,} with {given.concurrency} at once: {rate:.1f} requests/s")
        each = cpu / (count + 4 * given.concurrency)
        print(f"{'':12} {rate / best:7.1%} of {best:.0f}; a request takes {1000 * each:.1f} ms CPU")
        first, asked = measure_first(url, Path(place, "first"), given.concurrency, SESSIONS)
        print(
            f"{'enrich':12} {asked:7,} with {given.concurrency} at once: {asked / first:.1f} "
            f"requests/s, {asked / first / best:.1%}; {SESSIONS} sessions, window of 32"
        )
        server.kill()
        server.join()
        seconds = measure_cached(Path(place, "b"), given.cached)
        print(f"{'cached':12} {given.cached:7,} answers in {seconds:.1f} s, no request")
        again, cached = measure_again(Path(place, "again"), given.sessions)
        print(
            f"{'enrich again':12} {given.sessions:7,} sessions, {cached:,} answers: {again:.1f} s"
        )
    is_good = rate >= SHARE * best and seconds < LIMIT
    print(f"{'good' if is_good else 'NOT good'}: {SHARE:.0%} and {LIMIT} s are asked for")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
