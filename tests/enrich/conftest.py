"""A chat endpoint on loopback: real sockets, scripted replies and faults, a record of requests."""

import hashlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass
class Reply:
    """What the server does with one request.

    Attributes:
        text: of the answer; `body` wins over it.
        status: of HTTP.
        body: the reply's bytes, or a value to send as JSON.
        headers: added to the usual ones.
        fault: `hang` (no byte until the server stops), `reset` (of the connection), `truncated`
            (half the body, then the end of the connection), `drip` (a byte every 50 ms), `raw`
            (the body is all that is sent, status line and headers in it), `endless` (the body in
            chunks, over and over).
        seconds: before the reply.
    """

    text: str = ""
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    seconds: float = 0.0

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        body = self.body
        if body is None:
            body = {
                "choices": [{"message": {"role": "assistant", "content": self.text}}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3},
            }
        return json.dumps(body).encode()


def error(status: int, message: str, **details: Any) -> Reply:
    return Reply(status=status, body={"error": {"message": message, **details}})


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that goes away is part of many tests."""


class ChatServer:
    """Serves `/v1/chat/completions` until it is stopped.

    Attributes:
        url: to give as base_url.
        script: from (body of a request, times this body came before) to the reply.
        seen: (headers, Titled-So, and body) of every request, in the order of arrival.
        answered: how often each body, as text, was answered whole.
    """

    def __init__(self, script: Callable[[dict, int], Reply]) -> None:
        self.script = script
        self.seen: list[tuple[dict[str, str], dict]] = []
        self.answered: Counter[str] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        self._came: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._http = _Http(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; what hangs ends."""
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def bodies(self) -> list[dict]:
        return [body for _, body in self.seen]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet a reply: Nagle's wait would slow each

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                server._serve(self)

        return Handler

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        name = json.dumps(body, sort_keys=True)
        with self._lock:
            self.seen.append(({k.title(): v for k, v in handler.headers.items()}, body))
            before = self._came[name]
            self._came[name] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            is_path = handler.path == "/v1/chat/completions"
            reply = self.script(body, before) if is_path else error(404, "no such path")
            self._stopping.wait(reply.seconds)
            with self._lock:
                self.answered[name] += reply.status == 200 and not reply.fault
            self._send(handler, reply)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True  # who asked has gone
        finally:
            with self._lock:
                self._at_once -= 1

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        content = reply.content()
        if reply.fault:
            handler.close_connection = True
        if reply.fault == "hang":
            self._stopping.wait()
            return
        if reply.fault == "reset":
            linger = struct.pack("ii", 1, 0)  # no time: a reset instead of an orderly end
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            return
        if reply.fault == "raw":
            handler.wfile.write(content)
            handler.wfile.flush()
            return
        handler.send_response(reply.status)
        headers = {"Content-Type": "application/json", **reply.headers}
        is_endless = reply.fault == "endless"
        length = (
            {"Transfer-Encoding": "chunked"} if is_endless else {"Content-Length": len(content)}
        )
        for key, value in {**length, **headers}.items():
            handler.send_header(key, value)
        handler.end_headers()
        while is_endless and not self._stopping.is_set():
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        if reply.fault == "truncated":
            content = content[: len(content) // 2]
        if reply.fault == "drip":
            for byte in content:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                if self._stopping.wait(0.05):
                    return
            return
        handler.wfile.write(content)
        handler.wfile.flush()


@pytest.fixture
def serve() -> Iterator[Callable[..., ChatServer]]:
    """Start a server: `serve(lambda body, before: Reply("yes"))`; stopped after the test."""
    servers = []

    def start(script: Callable[[dict, int], Reply]) -> ChatServer:
        servers.append(ChatServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def reply() -> type[Reply]:
    """Make a reply: `reply("yes")`, `reply(fault="reset")`."""
    return Reply


@pytest.fixture(scope="session")
def error_reply() -> Callable[..., Reply]:
    """Make an error as OpenAI writes it: `error_reply(400, "no such option", param="seed")`."""
    return error


KINDS = ("lamp", "chair", "rug", "vase")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data_path` of the session dataset `shop`: 24 + 6 + 6 sessions, each of one kind of item."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("dataset") / "shop"
    folder.mkdir()
    inter, split = ["user_id:token\titem_id:token\ttimestamp:float"], ["user_id:token\tpart:token"]
    for number in range(36):
        part = "train" if number < 24 else "valid" if number < 30 else "test"
        split.append(f"u{number}#1\t{part}")
        kind = rng.integers(4)
        for place, item in enumerate(rng.permutation(12)[: rng.integers(3, 7)]):
            inter.append(f"u{number}#1\t{12 * kind + item}\t{100 * number + place}")
    items = ["item_id:token\ttitle:token_seq\tcategories:token_seq"]
    items += [
        f"{code}\t{KINDS[code // 12]} {code}\tShop > {KINDS[code // 12].capitalize()}s"
        for code in range(48)
    ]
    properties = ["session_split: True"]
    for suffix, lines in (
        (".inter", inter),
        (".split", split),
        (".item", items),
        (".yaml", properties),
    ):
        (folder / f"shop{suffix}").write_text("\n".join(lines) + "\n")
    return folder.parent


def _lines_of(content: str, heading: str) -> list[str]:
    block = content.split(f"{heading}:\n")[1].split("\n\n")[0]
    return [line.removeprefix("- ") for line in block.splitlines()]


def shopkeeper(body: dict) -> dict:
    """A model that knows the shop: it answers the prompts of intents, now and then wrongly."""
    system, asked = (message["content"] for message in body["messages"][:2])
    if system.startswith("You describe items"):
        title = asked.partition("title: ")[2].splitlines()[0]
        return {"features": [title.split()[0], f"number {title.split()[1]}"]}
    if system.startswith("You know why"):
        return {"intents": ["Good value", "gift"]}
    kind = _lines_of(asked, "Session")[0].split(";")[0].split()[0]
    intents = [f"A {kind} for the home", "good value!"]
    if "Candidates" not in asked:
        return {"intents": intents}
    candidates = [line[1:].split("] ") for line in _lines_of(asked, "Candidates")]
    said = "".join(message["content"] for message in body["messages"][2:])
    left = [(name, line) for name, line in candidates if f"prediction {name} is" not in said]
    fitting = [name for name, line in left if line.startswith(kind)]
    if int(hashlib.sha256(asked.encode()).hexdigest(), 16) % 8 == 0:  # an eighth fails for long
        fitting = [name for name, line in left if not line.startswith(kind)] or fitting
    return {"intents": intents, "next_item": fitting[0], "reason": "it fits"}


@pytest.fixture(scope="session")
def shop_model() -> Callable[[dict, int], Reply]:
    """Script for `serve`: the shop's model."""
    return lambda body, _: Reply(json.dumps(shopkeeper(body)))


@pytest.fixture
def ask_of(tmp_path: Path) -> Iterator[Callable[[str], "LocalAsker"]]:  # noqa: F821
    """An asker of a server: `ask_of(server.url)`; closed after the test."""
    from recbole_intent.llm.asking import LocalAsker
    from recbole_intent.llm.cache import AnswerCache
    from recbole_intent.llm.openai_source import OpenAISource

    with AnswerCache(tmp_path / "answers.sqlite") as cache, ExitStack() as stack:

        def make(url: str, concurrency: int = 8) -> LocalAsker:
            asker = LocalAsker(OpenAISource("shop", url), cache, concurrency)
            stack.callback(asker.close)
            return asker

        yield make


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data_path` of the dataset `market`: 12 users' histories of 3 to 31 of 41 items.

    Item 39 has no text in the .item file, and item 40 no line there.
    """
    rng = np.random.default_rng(11)
    folder = tmp_path_factory.mktemp("dataset") / "market"
    folder.mkdir()
    inter = ["user_id:token\titem_id:token\ttimestamp:float", "u1\ti40\t999"]
    for user, length in enumerate([3, 30, *rng.integers(4, 9, size=10)]):
        for place, item in enumerate(rng.permutation(40)[:length]):
            inter.append(f"u{user}\ti{item}\t{1000 * user + place}")
    items = ["item_id:token\ttitle:token_seq\tbrand:token\tcategories:token_seq"]
    items += [
        f"i{n}\t{KINDS[n % 4]} number {n}\t{'AB'[n % 2]}\tShop > {KINDS[n % 4].capitalize()}s"
        for n in range(39)
    ]
    (folder / "market.inter").write_text("\n".join(inter) + "\n")
    (folder / "market.item").write_text("\n".join([*items, "i39\t\t\t"]) + "\n")
    return folder.parent


ASKED_FOR = ("key features", "core interests", "dislike", "like")


def market_crier(body: dict) -> dict:
    """A model that tells what it was shown and asked, in a few words."""
    system, asked = (message["content"] for message in body["messages"][:2])
    about = asked.splitlines()[0 if "of one item" in system else 1].split(".")[0]
    question = next(w for w in ASKED_FOR if w in system)
    return {"reasoning": "so it is", "description": f"{question}: {about.removeprefix('- ')}"}


@pytest.fixture(scope="session")
def market_model() -> Callable[[dict, int], Reply]:
    """Script for `serve`: the market's model."""
    return lambda body, _: Reply(json.dumps(market_crier(body)))
