"""Downloads against a real HTTP server on this machine."""

import gzip
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from recbole_intent.data.prepare import dataset_properties
from recbole_intent.data.prepare.download import download, fetch, how_to_get, unprepared_message
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.paths import properties_dir

CONTENT = bytes(range(256)) * 2_000  # 512,000 bytes


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`, with ranges and ETags; may cut an answer off."""

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(span[1]) if span and self.headers.get("If-Range", etag) == etag else 0
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", etag)
        self.end_headers()
        cut, self.server.cut_after = self.server.cut_after, None
        self.wfile.write(data[start : cut if cut is None else start + cut])

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.requests, server.cut_after = {"/x.bin": CONTENT}, [], None
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def properties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a dataset's properties where `prepare` finds them."""
    folder = tmp_path / "properties"
    (folder / "dataset").mkdir(parents=True)
    monkeypatch.setattr(dataset_properties, "properties_dir", lambda: folder)

    def put(dataset: str, download: dict) -> None:
        text = yaml.safe_dump({"prepare": {"download": download}})
        (folder / "dataset" / f"{dataset}.yaml").write_text(text)

    return put


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestFetch:
    def test_complete(self, server, tmp_path):
        target = tmp_path / "new" / "x.bin"
        digest = hashlib.sha256(CONTENT).hexdigest()
        fetch(f"{server.url}/x.bin", target, size=len(CONTENT), sha256=digest)
        assert target.read_bytes() == CONTENT
        assert names(target.parent) == ["x.bin"]
        fetch(f"{server.url}/x.bin", target)  # there already: no request
        assert len(server.requests) == 1

    def test_resumed_after_a_cut(self, server, tmp_path):
        target = tmp_path / "x.bin"
        server.cut_after = 100_000
        with pytest.raises(UserError, match=r"cut off after 100,000 of 512,000 bytes.*again"):
            fetch(f"{server.url}/x.bin", target)
        assert not target.exists()
        fetch(f"{server.url}/x.bin", target)
        assert target.read_bytes() == CONTENT
        assert server.requests[1]["Range"] == "bytes=100000-"
        assert names(tmp_path) == ["x.bin"]

    def test_a_file_that_changed_meanwhile_comes_whole(self, server, tmp_path):
        target = tmp_path / "x.bin"
        server.cut_after = 100_000
        with pytest.raises(UserError, match="cut off"):
            fetch(f"{server.url}/x.bin", target)
        server.files["/x.bin"] = CONTENT[::-1]
        fetch(f"{server.url}/x.bin", target)
        assert target.read_bytes() == CONTENT[::-1]

    def test_all_there_but_not_renamed(self, server, tmp_path):
        (tmp_path / "x.bin.part").write_bytes(CONTENT)
        fetch(f"{server.url}/x.bin", tmp_path / "x.bin")
        assert (tmp_path / "x.bin").read_bytes() == CONTENT

    def test_longer_than_the_file(self, server, tmp_path):
        (tmp_path / "x.bin.part").write_bytes(CONTENT + b"more")
        with pytest.raises(UserError, match="512004 instead of 512000"):
            fetch(f"{server.url}/x.bin", tmp_path / "x.bin")
        assert names(tmp_path) == []

    @pytest.mark.parametrize(
        ("expected", "message"),
        [({"size": 7}, "bytes 512000 instead of 7"), ({"sha256": "00"}, "instead of 00")],
    )
    def test_wrong_size_or_checksum(self, server, tmp_path, expected, message):
        with pytest.raises(UserError, match=message):
            fetch(f"{server.url}/x.bin", tmp_path / "x.bin", **expected)
        assert names(tmp_path) == []


class TestDownload:
    def test_prepare_without_source(self, server, properties, tmp_path):
        lines = "".join(f"{user},i{n},5.0,{n}000\n" for user in "uv" for n in range(3))
        text = "user_id,parent_asin,rating,timestamp\n" + lines
        server.files["/X.csv.gz"] = gzip.compress(text.encode())
        properties("mine", {"page": "a page", "files": [{"url": f"{server.url}/X.csv.gz"}]})
        assert prepare("mine", data_path=tmp_path).interactions == 6
        assert (tmp_path / "mine" / "raw" / "X.csv.gz").is_file()
        assert prepare("mine", data_path=tmp_path).interactions == 6
        assert len(server.requests) == 1

    def test_file_not_there(self, server, properties, tmp_path):
        properties("mine", {"page": "a page", "files": [{"url": f"{server.url}/no.gz"}]})
        with pytest.raises(UserError, match=r"no\.gz \(Not Found\): get no\.gz from a page"):
            download("mine", tmp_path)

    def test_no_server(self, server, properties, tmp_path):
        unused = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = unused.server_port
        unused.server_close()
        url = f"http://127.0.0.1:{port}/reviews.json.gz"
        properties("mine", {"page": "https://page.example", "files": [{"url": url}]})
        with pytest.raises(UserError) as caught:
            prepare("mine", data_path=tmp_path)
        message = str(caught.value)
        assert "\n" not in message
        assert not (tmp_path / "mine").exists()
        assert "get reviews.json.gz from https://page.example, then run: " in message
        assert message.endswith("recbole_intent prepare --dataset=mine --source=PATH")

    def test_no_public_home(self, tmp_path):
        with pytest.raises(UserError, match="cannot download mine: get its raw files and run: "):
            prepare("mine", data_path=tmp_path)

    def test_licence_must_be_accepted_by_hand(self, tmp_path):
        with pytest.raises(UserError, match=r"business\.yelp\.com.*licence must be accepted"):
            prepare("yelp", data_path=tmp_path)


def test_every_known_dataset_says_how_to_get_it():
    for file in sorted((properties_dir() / "dataset").glob("*.yaml")):
        dataset = file.stem
        message = unprepared_message(dataset)
        assert f"prepare --dataset={dataset}" in message
        assert "--source=PATH" in message
        assert "\n" not in message + how_to_get(dataset)
