"""A real server on loopback answers concurrent clients as the `Recommender` does."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import uvicorn

from recbole_intent.cli.main import main
from recbole_intent.recommend.recommender import Recommender
from recbole_intent.runs.experiment import run
from recbole_intent.serve.app import MAX_BYTES, application
from recbole_intent.serve.bodies import MAX_ITEMS, MAX_K, MAX_ROWS

ROOT = Path(__file__).resolve().parents[2]
CLIENT = httpx2.Client(timeout=60)


class Server(NamedTuple):
    """A process that serves a run."""

    process: subprocess.Popen | None
    address: str
    folder: Path | None

    def get(self, path: str, **params: Any) -> httpx2.Response:
        return CLIENT.get(self.address + path, params=params)

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return CLIENT.post(self.address + path, json=body)


def start(folder: Path) -> Server:
    """Start `recbole_intent serve FOLDER` on a free port, and wait for its first line."""
    words = ["serve", str(folder), "--port=0", "--threads=1"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_recbole_intent.py"), *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    line = process.stdout.readline()
    assert " at http://127.0.0.1:" in line, line
    return Server(process, line.split()[2], folder)


@pytest.fixture(scope="module")
def folders(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run of a model with intents and of one that scores users."""
    options = {
        "data_path": str(tiny_path),
        "checkpoint_dir": str(tmp_path_factory.mktemp("saved")),
        **dict.fromkeys(("show_progress", "tensorboard"), False),
        "MAX_ITEM_LIST_LENGTH": 8,
        "device": "cpu",
        "epochs": 1,
    }
    intents = {"hidden_size": 16, "inner_size": 16, "distiller_size": 8}
    return {
        "IGRSR": run("IGRSR", "tiny", overrides={**options, **intents}).folder,
        "LightGCN": run("LightGCN", "tiny", overrides=options).folder,
    }


@pytest.fixture(scope="module")
def server(folders):
    made = start(folders["IGRSR"])
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture(scope="module")
def recommender(folders) -> Recommender:
    return Recommender.load(folders["IGRSR"])


def items_of(table) -> list[str]:
    return table["item_id"].tolist()


def test_concurrent_clients_get_what_the_recommender_gives(server, recommender):
    """60 users, one request each, and as many histories with other options, all at once."""
    users = [f"u{n}" for n in range(60)]
    histories = [[f"i{n % 40}", f"i{(n + 3) % 40}", n % 7 and f"i{n % 7}"] for n in range(60)]
    histories = [[item for item in history if item] for history in histories]
    by_user = recommender.recommend_users(users, 5).groupby("history")
    by_history = recommender.recommend(histories, 7, include_history=True).groupby("history")

    def ask(n: int) -> tuple[dict, dict]:
        first = server.post("/recommend", users=[users[n]], k=5)
        second = server.post("/recommend", histories=[histories[n]], k=7, exclude_seen=False)
        assert (first.status_code, second.status_code) == (200, 200)
        return first.json(), second.json()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(60)))
    for n, (of_user, of_history) in enumerate(answers):
        for answer, table in ((of_user, by_user), (of_history, by_history)):
            (one,), rows = answer["lists"], table.get_group(n + 1)
            assert [item["item_id"] for item in one["items"]] == items_of(rows)
            scores = [item["score"] for item in one["items"]]
            assert scores == pytest.approx(rows["score"].tolist(), rel=1e-4)
            assert one["source"] == "model"
        assert of_user["lists"][0]["user_id"] == users[n]
        assert "user_id" not in of_history["lists"][0]


def test_several_rows_intents_and_similar_items(server, recommender):
    histories = [["i1", "i2", "i3"], [], ["i9"]]
    answer = server.post("/recommend", histories=histories, k=3).json()["lists"]
    table = recommender.recommend(histories, 3)
    assert [item["item_id"] for one in answer for item in one["items"]] == items_of(table)
    assert [one["source"] for one in answer] == ["model", "popular", "model"]

    told = server.post("/explain", users=["u3", "u3", "u9"], n_items=2).json()["lists"]
    expected = recommender.explain_users(["u3", "u3", "u9"], 2)
    for one, other in zip(told, expected, strict=True):
        assert one["user_id"] == other["user_id"]
        weights = [intent["weight"] for intent in other["intents"]]
        assert [i["weight"] for i in one["intents"]] == pytest.approx(weights, abs=1e-4)
        assert len(one["intents"][0]["items"]) == 2

    (near,) = server.get("/similar", item="i7", k=4).json().values()
    table = recommender.similar_items("i7", 4)
    assert [item["item_id"] for item in near] == items_of(table)
    assert [item["cosine"] for item in near] == pytest.approx(table["cosine"].tolist(), abs=1e-5)
    (all_others,) = server.get("/similar", item="i7", k=MAX_K).json().values()
    assert len(all_others) == 39


def test_health_and_pages(server):
    health = server.get("/health").json()
    about = {"status": "ok", "model": "IGRSR", "dataset": "tiny", "users": 60, "items": 40}
    assert about.items() <= health.items()
    assert (health["takes_histories"], health["has_intents"]) == (True, True)
    assert health["run"] == server.folder.name
    paths = server.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/health", "/recommend", "/explain", "/similar"}
    page = server.get("/docs").text
    assert "http" not in page.replace(server.address, "")  # nothing from another server
    script = page.split('<script src="')[1].split('"')[0]
    assert len(server.get(script).content) > 10**6
    assert server.get("/").headers["location"] == "docs"


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/recommend", {"users": ["u1", "me", 5]}, 404, "users that tiny lacks: 'me', '5'"),
        ("/recommend", {"histories": [["i1"], ["x"]]}, 404, "items that tiny lacks: 'x'"),
        ("/explain", {"users": ["me"]}, 404, "users that tiny lacks: 'me'"),
        ("/recommend", {}, 422, "give either users or histories"),
        ("/recommend", {"users": ["u1"], "histories": [["i1"]]}, 422, "give either users or"),
        ("/recommend", {"users": []}, 422, "body.users: List should have at least 1 item"),
        ("/recommend", {"users": "u1"}, 422, "body.users: Input should be a valid list"),
        ("/recommend", {"users": [True]}, 422, "users: user True is not an id; ids are strings or"),
        ("/recommend", {"users": ["u1"], "k": 0}, 422, "body.k: Input should be greater than"),
        ("/recommend", {"users": ["u1"], "k": MAX_K + 1}, 422, "body.k: Input should be less"),
        ("/recommend", {"users": ["u1"], "k": "3"}, 422, "body.k: Input should be a valid int"),
        ("/recommend", {"users": ["u1"], "kk": 3}, 422, "body.kk: Extra inputs are not"),
        ("/recommend", {"users": ["u1"] * (MAX_ROWS + 1)}, 422, "body.users: List should have at"),
        ("/recommend", {"histories": [["i1"] * (MAX_ITEMS + 1)]}, 422, "body.histories.0: List"),
    ],
    ids=str,
)
def test_bad_requests_say_what_is_wrong(server, path, body, status, detail):
    answer = server.post(path, **body)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)


def test_hostile_requests(server):
    for item, status in (("x", 404), ("", 404), ("i1", 200)):
        assert server.get("/similar", item=item).status_code == status
    assert server.get("/similar", item="i1", k=MAX_K + 1).status_code == 422
    assert server.get("/similar").json() == {"detail": "query.item: Field required"}
    json_type = {"content-type": "application/json"}
    for content, status in (
        (b"{", 422),
        (b'{"users": [NaN]}', 422),
        (b'{"users": ["\\ud800"]}', 422),
        (b"[" * 10**5, 400),
        (b'{"users": ["' + b"u" * MAX_BYTES + b'"]}', 413),
    ):
        answer = CLIENT.post(server.address + "/recommend", content=content, headers=json_type)
        assert answer.status_code == status, (content[:20], answer.text)
        assert len(answer.content) < 500
    pieces = (b" " * 10**5 for _ in range(100))  # without a length in the header
    answer = CLIENT.post(server.address + "/recommend", content=pieces, headers=json_type)
    assert answer.status_code == 413
    assert server.get("/health").json()["waiting"] == 0


def test_unknown_items_may_be_skipped(server, recommender):
    histories = [["i1", "new", "i2"], ["newer", "new"]]
    answer = server.post("/recommend", histories=histories, k=2, skip_unknown=True).json()
    assert answer["unknown"] == ["new", "newer"]
    assert [one["source"] for one in answer["lists"]] == ["model", "popular"]
    expected = recommender.recommend([["i1", "i2"]], 2)
    assert [item["item_id"] for item in answer["lists"][0]["items"]] == items_of(expected)


def test_a_model_of_users(folders):
    recommender = Recommender.load(folders["LightGCN"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application(recommender), log_config=None)
        inner = uvicorn.Server(config)
        thread = threading.Thread(target=inner.run, kwargs={"sockets": [listener]})
        thread.start()
        server = Server(None, f"http://127.0.0.1:{listener.getsockname()[1]}", None)
        try:
            (near,) = server.get("/similar", item="i7", k=3).json().values()
            answer = server.post("/recommend", histories=[["i1"]])
            assert (answer.status_code, "scores users" in answer.text) == (422, True)
            answer = server.post("/explain", users=["u1"])
            assert answer.json() == {"detail": "--explain: LightGCN has no intents"}
        finally:
            inner.should_exit = True
            thread.join()
    assert [item["item_id"] for item in near] == items_of(recommender.similar_items("i7", 3))


def test_mistakes_are_one_line(folders, capsys, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, message in (
            ([f"--port={port}"], f"--host=127.0.0.1 --port={port}: Address already in use"),
            (["--host=nowhere.invalid", "--port=0"], "--host=nowhere.invalid --port=0: "),
            (["--port=70000"], "--port=70000: not a whole number from 0 to 65535"),
            (["--history=some"], "--history=some: not one of"),
        ):
            assert main(["serve", str(folders["LightGCN"]), *words]) == 2
            out, err = capsys.readouterr()
            assert message in err
            assert (out, len(err.splitlines())) == ("", 1)
    assert main(["serve", str(tmp_path)]) == 2
    assert "no finished run" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(folders["LightGCN"])]) == 2
    assert "uvicorn is not installed (extra serve): pip install" in capsys.readouterr().err


def test_a_graceful_stop(server):
    """SIGTERM while a request is in flight: it is answered, and the exit code is 0."""
    body = json.dumps({"users": ["u1"], "k": 2}).encode()
    head = f"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as slow:
        slow.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:5])
        assert server.get("/health").status_code == 200  # so the half request has arrived
        server.process.send_signal(signal.SIGTERM)
        slow.sendall(body[5:])
        assert b"200 OK" in slow.recv(9999)
    assert server.process.wait(60) == 0
    assert server.process.stdout.read() == "stopped\n"
