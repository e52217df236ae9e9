"""Anything at all as options, YAML, data, histories or replies: exit 0, or one clear line.

The examples are the same in every run of the suite. `FUZZ=100` multiplies their number, and draws
others: for a search by hand.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from recbole_intent.cli import main as cli
from recbole_intent.config.config import Config
from recbole_intent.llm.retry import Retry
from recbole_intent.utils.printable import printable

TIMES = int(os.environ.get("FUZZ", "0"))


def examples(count: int):
    return settings(
        max_examples=count * max(1, TIMES),
        derandomize=not TIMES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        # A failure is shown at once; FUZZ makes it small first, which takes minutes.
        phases=list(Phase) if TIMES else [Phase.generate],
    )


HEADER = b"user_id:token\titem_id:token\ttimestamp:float\n"
ROWS = b"".join(
    b"u%d\ti%d\t%d\n" % (user, (user + 3 * t) % 8, 1_700_000_000 + 1000 * user + 10 * t)
    for user in range(6)
    for t in range(6)
)
RUN = (
    "--dataset=mine --device=cpu --show_progress=False --tensorboard=False --epochs=1 "
    "--metrics=[NDCG] --topk=[5] --valid_metric=NDCG@5"
).split()
SASREC = ["--model=SASRec", "--hidden_size=8", "--inner_size=8", "--n_layers=1", *RUN]
BPR = ["--model=BPR", "--embedding_size=8", *RUN]


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory):
    """A folder with the dataset `mine`, which all commands run in."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "dataset/mine").mkdir(parents=True)
    (folder / "dataset/mine/mine.inter").write_bytes(HEADER + ROWS)
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def contents() -> dict[Path, bytes | None]:
    # But for the cache of answers, which are paid for: it stays whatever becomes of the command.
    paths = [path for path in Path().rglob("*") if ".answers.sqlite" not in path.name]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def check(words: list[str], codes: tuple[int, ...] = (0,)) -> str:
    """Run a command: one of the codes, or 2 with one line and nothing left; returns the line."""
    before, out, err = contents(), io.StringIO(), io.StringIO()
    level, package = logging.root.level, logging.getLogger("recbole_intent").level
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(words)
    finally:
        logging.root.setLevel(level)
        logging.getLogger("recbole_intent").setLevel(package)
    said = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
    assert "Traceback" not in err.getvalue(), err.getvalue()
    if code in codes:
        assert code or not said
        for path in contents().keys() - before.keys():
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True) if not path.is_dir() else None
        return ""
    assert (code, len(said)) == (2, 1), (code, err.getvalue())
    assert len(said[0]) > len("error: ")
    assert printable(said[0]) == said[0]
    assert len(said[0]) < 1500, said[0]
    assert "Traceback" not in out.getvalue()
    assert contents() == before
    return said[0]


# --- strategies -------------------------------------------------------------------------------

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 8, 0.0, 0.1, 0.5, 1.0, 1.5, -0.5, 1e-9])
ODD = st.sampled_from(
    [2**63, -(2**70), float("nan"), float("inf"), float("-inf"), 1e308, "", " ", "~", "None", "x"]
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, ODD, WORD)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(WORD, SCALARS), inner, max_size=3),
    ),
    max_leaves=5,
)
HOSTILE = st.sampled_from(
    [
        "[" * 20_000,
        "9" * 5000,
        "{a: " * 5000,
        "&a [*a]",
        "!!python/name:os.system",
        "!!binary aGk=",
        "2024-99-99",
        "!!timestamp 2024-99-99",
        "'\\ud800'",
        '"\\ud800"',
        '"a\\0b"',
        "? [a]\n: b",
        "a: b: c",
        "1: 2",
        "\t",
        "%",
        "@",
        "`",
        "*x",
        "{<<: 1}",
        "{<<: [1]}",
        "!!int ''",
        "1:30:45",
        "0x",
        "1__0",
        "=",
    ]
)
TEXTS = st.one_of(
    VALUES.map(lambda value: yaml.safe_dump(value, allow_unicode=True, default_flow_style=True)),
    HOSTILE,
    WORD,
)
# Keys of a run whose values say where it lies, or what it runs on.
PLACES = {"checkpoint_dir", "data_path", "device", "gpu_id", "dataset", "model", "output"}


def keys_of(model: str) -> list[str]:
    """All keys of a model's configuration, and a few that are none."""
    found = Config(model, "mine").final_config_dict
    return [*sorted(set(found) - PLACES), "numerical_features", "nothing", "Epochs", "é", "-", "_"]


PIECES = [
    *b'\0 " \t \n \r \r\n \xff'.split(b" "),
    *b":token :float nan -1 1e400 [PAD] NA user_id \xef\xbb\xbf \xff\xfe \x1f\x8b".split(b" "),
    *(b" ", b"9" * 400, "é\u2028".encode(), b"\x1b[2J"),
]


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with pieces cut out, put in, repeated or changed; or other bytes."""
    piece = st.one_of(st.binary(max_size=6), st.sampled_from(PIECES))
    cut = st.tuples(st.integers(0, len(data)), st.integers(0, 40), piece)

    def apply(cuts: list[tuple[int, int, bytes]]) -> bytes:
        result = data
        for start, length, new in cuts:
            start = min(start, len(result))
            result = result[:start] + new + result[start + length :]
        return result

    changed = st.lists(cut, min_size=1, max_size=4).map(apply)
    near = st.lists(
        st.tuples(st.integers(0, len(HEADER)), st.just(0), piece), min_size=1, max_size=2
    ).map(apply)
    return st.one_of(changed, near, st.binary(max_size=200))


# --- tests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [SASREC, BPR], ids=["SASRec", "BPR"])
def test_values_of_options(words):
    names = st.sampled_from(keys_of(words[0].partition("=")[2]))

    @examples(30)
    @given(st.dictionaries(names, TEXTS, min_size=1, max_size=2))
    def fuzz(options):
        kept = [word for word in words if word[2:].partition("=")[0] not in options]
        check([*kept, *(f"--{key}={value}" for key, value in options.items())])

    fuzz()


@examples(60)
@given(st.lists(st.one_of(WORD, WORD.map("--{}".format), st.sampled_from(
    ["prepare", "compare", "evaluate", "recommend", "tune", "enrich", "demo", "--model=BPR",
     "--dataset=mine", "--run=x", "--users=all", "--k=x", "--trials=0", "--fresh", "--for=ISRF",
     "--seeds=a", "--models=BPR", "--models=Pop,Pop", "--source=dataset", "--columns==", "--"],
)), max_size=4))  # fmt: skip
def test_words_of_commands(words):
    if words[:1] == ["demo"] and set(words) <= {"demo", "--fresh"}:
        return  # a good one, which takes its time
    if {"--model=BPR", "--dataset=mine"} <= set(words) or words[:1] == ["tune"]:
        words = [*words, "--epochs=0"]
    check(words)


KEYS = st.sampled_from(["topk", "epochs", "eval_args", "loss"])


@examples(40)
@given(
    st.one_of(
        TEXTS,
        st.dictionaries(KEYS, VALUES).map(yaml.safe_dump),
        st.binary(max_size=60),
        damaged(b"epochs: 1\ntopk: [5]\n"),
    )
)
def test_configuration_files(document):
    data = document if isinstance(document, bytes) else document.encode()
    Path("my.yaml").write_bytes(data)
    try:
        check([*BPR, "--config_files=my.yaml"])
        check(["compare", "--models=BPR", "--params=my.yaml", "--workers=0", *RUN])
        check(["compare", "--models=BPR", "--params=BPR:my.yaml", "--workers=0", *RUN])
    finally:
        Path("my.yaml").unlink()


@examples(40)
@given(damaged(HEADER + ROWS), st.sampled_from([SASREC, BPR, ["--model=Pop", *RUN]]))
def test_bytes_of_a_dataset(data, words):
    path = Path("dataset/mine/mine.inter")
    path.write_bytes(data)
    try:
        check(words)
    finally:
        path.write_bytes(HEADER + ROWS)


@examples(40)
@given(
    st.one_of(
        damaged(HEADER + ROWS),
        damaged(b"userId,movieId,rating,timestamp\n1,2,4.0,1700000000\n1,3,5.0,1700000001\n"),
        damaged(b'{"reviewerID": "u", "asin": "a", "unixReviewTime": 5, "overall": 4}\n' * 2),
        damaged(b"1::2::4::1700000000\n1::3::4::1700000009\n"),
        damaged(b"1 2 3 4\n2 5 6\n"),
    ),
    st.sampled_from(["raw.inter", "raw.csv", "raw.json", "raw.dat", "raw.txt"]),
)
def test_bytes_of_raw_files(data, name):
    Path(name).write_bytes(data)
    try:
        check(["prepare", "--dataset=new", f"--source={name}"])
    finally:
        Path(name).unlink()


@pytest.fixture(scope="module")
def trained(here):
    """The folder of a run."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert cli.main([*SASREC, "--output=trained"]) == 0
    yield "trained"
    shutil.rmtree("trained")


LINES = b'["i1", "i2"]\n{"user": "u", "items": ["i3"]}\n'


@examples(15)
@given(
    st.one_of(damaged(LINES), damaged(b"user_id,item_id,timestamp\nu,i1,5\nu,i2,6\n")),
    st.sampled_from(["h.jsonl", "h.csv", "h.parquet"]),
)
def test_bytes_of_histories(trained, data, name):
    Path(name).write_bytes(data)
    try:
        check(["recommend", f"--run={trained}", f"--histories={name}", "--k=2"])
        check(["recommend", f"--run={trained}", f"--users={name}", "--k=2", "--output=r.csv"])
    finally:
        Path(name).unlink()


@pytest.mark.parametrize("name", ["config.yaml", "data.json", "result.json", "best.pt"])
def test_bytes_of_a_run(trained, name):
    path = Path(trained, name)
    good = path.read_bytes()

    @examples(6)
    @given(st.one_of(damaged(good[:2000]), st.sampled_from([b"", b"{}", b"[]", b"null", b"1"])))
    def fuzz(data):
        path.write_bytes(data)
        try:
            check(["recommend", f"--run={trained}", "--users=all", "--k=2"])
            check(["evaluate", f"--run={trained}", "--mask_history=True"])
        finally:
            path.write_bytes(good)

    fuzz()


# --- replies ----------------------------------------------------------------------------------

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 10**30), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from("choices message content usage error prompt_tokens refusal".split()),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)
ANSWER = json.dumps({"choices": [{"message": {"content": '{"intents": ["a"]}'}}]}).encode()
REPLY = st.tuples(
    st.sampled_from([200, 200, 200, 204, 302, 400, 401, 404, 429, 500, 999]),
    st.sampled_from(["application/json", "application/json; charset=hex", "text/html", "\xff"]),
    st.one_of(JSON.map(lambda value: json.dumps(value).encode()), damaged(ANSWER)),
)


@pytest.fixture(scope="module")
def server():
    """A server on loopback that gives `server.reply` to every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, kind, body = self.server.reply
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield http
    http.shutdown()
    http.server_close()
    thread.join()


def test_replies_of_an_endpoint(here, server, monkeypatch):
    quick = Retry(max_tries=2, time_limit=5, first_wait=0.001, longest_wait=0.002)
    monkeypatch.setattr("recbole_intent.llm.client.Retry", lambda: quick)
    folder = here / "dataset/mine"
    items = "".join(f"i{n}\tItem {n}\n" for n in range(8))
    (folder / "mine.item").write_text(f"item_id:token\ttitle:token_seq\n{items}")
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    words = ["enrich", "--for=ISRF", "--dataset=mine", "--llm.model=m", f"--llm.base_url={url}"]

    @examples(12)
    @given(REPLY)
    def fuzz(reply):
        server.reply = reply
        for path in folder.glob("*.sqlite*"):
            path.unlink()
        check([*words, "--limit=2"], codes=(0, 1))

    try:
        fuzz()
    finally:
        (folder / "mine.item").unlink()
