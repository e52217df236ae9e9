"""A search: killed and resumed, blind to the test set, stopping trials, living through dead ones.

Real processes throughout; `tiny` and a small SASRec, so that Ray's own start takes most of it.
"""

import csv
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import yaml

from recbole_intent.cli.main import main
from recbole_intent.runs.experiment import run
from recbole_intent.tune.ledger import FAILED, FINISHED, STOPPED, Ledger
from recbole_intent.tune.space import read_space
from recbole_intent.tune.suggest import RandomSuggester

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600  # seconds until a test gives up on a process; nothing depends on its value

SPACE = """\
hidden_size: [8, 16]
learning_rate: {loguniform: [0.001, 0.03]}
n_layers: {int: [1, 2]}
"""
FIXED = {
    "device": "cpu",
    "inner_size": 16,
    "n_heads": 2,
    "MAX_ITEM_LIST_LENGTH": 8,
    "train_batch_size": 64,
    "tensorboard": False,
}


def _words(output: Path, data_path: Path, **options) -> list[str]:
    given = {
        "model": "SASRec",
        "dataset": "tiny",
        "data_path": data_path,
        "output": output,
        **FIXED,
        **options,
    }
    return [f"--{key}={value}" for key, value in given.items()]


_STARTED: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def _no_process_is_left():
    """End what a failed test leaves behind."""
    yield
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def _start(words: list[str], *flags: str, **env: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "run_recbole_intent.py"), "tune", *words, *flags]
    path = os.pathsep.join([str(ROOT), env.pop("PYTHONPATH", "")])
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env, "PYTHONPATH": path},
    )
    _STARTED.append(process)
    return process


def _finish(process: subprocess.Popen) -> str:
    out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return out


def _wait_for(process: subprocess.Popen, ledger: Ledger, n: int, kind: str = "epoch") -> None:
    """Wait until that many epochs, or events of another kind, are noted."""
    for _ in range(PATIENCE * 50):
        if sum(event["event"] == kind for event in ledger.events()) >= n:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    raise AssertionError(f"no {n} {kind} after {PATIENCE} s")


def _end(process: subprocess.Popen, sign: signal.Signals) -> list[psutil.Process]:
    """Send a signal; returns the processes that Ray had started."""
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) > 3
    process.send_signal(sign)
    process.communicate()
    return family


def _assert_gone(family: list[psutil.Process]) -> None:
    _, left = psutil.wait_procs(family, timeout=PATIENCE)
    assert not left


def _poisoned(tiny_path: Path, folder: Path) -> list[Path]:
    """`tiny` twice, the second time with other test items; both give items the same numbers."""
    head, *rows = (tiny_path / "tiny/tiny.inter").read_text().splitlines()
    last = {row.split("\t")[0]: row for row in rows}  # by user, in the order of time
    early = [row for row in rows if row != last[row.split("\t")[0]]]
    assert {row.split("\t")[1] for row in rows} == {row.split("\t")[1] for row in early}
    other = []
    for row in last.values():
        user, item, at = row.split("\t")
        other.append(f"{user}\ti{(int(item[1:]) + 20) % 40}\t{at}")
    paths = []
    for name, late in (("clean", list(last.values())), ("poisoned", other)):
        (folder / name / "tiny").mkdir(parents=True)
        (folder / name / "tiny/tiny.inter").write_text("\n".join([head, *early, *late]) + "\n")
        paths.append(folder / name)
    return paths


def _plain_run(params: dict, data_path: Path, output: Path) -> dict:
    """The result of a run with a trial's parameters, without a search, in this process."""
    own = {"data_path": str(data_path), "epochs": 4, "show_progress": False, **params}
    return run("SASRec", "tiny", overrides={**FIXED, **own}, output=output).result


def test_stopped_killed_and_blind_to_the_test_set(tiny_path, tmp_path):
    """Ctrl-C, kill -9 and --resume give the trials that plain runs give; so do other test items."""
    clean, poisoned = _poisoned(tiny_path, tmp_path / "data")
    (tmp_path / "space.yaml").write_text(SPACE)
    options = {"trials": 3, "epochs": 4, "search": tmp_path / "space.yaml", "scheduler": "none"}
    sweep = tmp_path / "sweep"
    words, ledger = _words(sweep, poisoned, **options), Ledger(sweep / "ledger.jsonl")

    process = _start(words)
    _wait_for(process, ledger, 1, "begin")
    _assert_gone(_end(process, signal.SIGINT))
    assert process.returncode == 130
    assert not (sweep / "ray-temporary").exists()
    process = _start(words, "--resume")
    _wait_for(process, ledger, 5)
    temporary = Path((sweep / "ray-temporary").read_text().strip())
    orphans = _end(process, signal.SIGKILL)
    over = [t.index for t in ledger.trials() if t.is_over]
    before = {i: (sweep / f"trials/{i:04d}/last.pt").stat().st_mtime_ns for i in over}
    with open(ledger.path, "a") as file:
        file.write('{"event": "epo')  # as if it had been killed while writing
    said = _finish(_start(words, "--resume"))
    assert "best: trial" in said
    assert not temporary.exists()
    for index, at in before.items():
        assert (sweep / f"trials/{index:04d}/last.pt").stat().st_mtime_ns == at

    space, _ = read_space("SASRec", tmp_path / "space.yaml")
    draws = RandomSuggester(space, 2020, lambda params: None)
    plain = []
    for trial in ledger.trials():
        assert trial.status == FINISHED
        assert trial.params == draws.suggest(trial.index)
        plain.append(_plain_run(trial.params, clean, tmp_path / f"plain{trial.index}"))
        told = [(record["epoch"], record["valid"]) for record in trial.epochs]
        assert told == [(r["epoch"] + 1, r["valid"]) for r in plain[-1]["history"]]
    assert len(plain) == 3
    (tested,) = sweep.glob("trials/*/result.json")  # one, and once
    chosen = max(range(3), key=lambda i: plain[i]["valid"]["ndcg@10"])
    assert tested.parent.name == f"{chosen:04d}"
    result = json.loads((sweep / "result.json").read_text())
    assert result["valid"] == plain[chosen]["valid"]
    assert result["test"] != plain[chosen]["test"]  # the poison was there, and was read at last
    _look_at_what_is_left(sweep, result, poisoned, tmp_path / "again")
    assert main(["tune", *words]) == 2  # a search is there, and --resume was not said
    _assert_gone(orphans)  # Ray's last helpers give up a minute after a kill


def _look_at_what_is_left(sweep: Path, result: dict, data_path: Path, output: Path) -> None:
    best = yaml.safe_load((sweep / "best.yaml").read_text())
    own = {"data_path": str(data_path), "device": "cpu", "show_progress": False}
    again = run("SASRec", "tiny", [sweep / "best.yaml"], own, output=output)
    for key in ("valid", "test", "config_fingerprint"):
        assert again.result[key] == result[key]
    with (sweep / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert all(row["status"] == FINISHED and row["epochs"] == "4" for row in rows)
    chosen = max(rows, key=lambda row: float(row["ndcg@10"]))
    assert float(chosen["ndcg@10"]) == result["valid"]["ndcg@10"]
    assert float(chosen["learning_rate"]) == best["learning_rate"]
    assert {"recall@5", "mrr@20", "minutes", "hidden_size"} <= chosen.keys()
    for name in ("parallel.png", "time.png"):
        picture = (sweep / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 200_000
    command = json.loads((sweep / "sweep.json").read_text())["command"]
    assert command.startswith("recbole_intent tune --model=SASRec")


DYING = """
import os, signal
from recbole_intent.models.sasrec.model import SASRec as Base

class SASRec(Base):
    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.rate = config["learning_rate"]

    def calculate_loss(self, interaction):
        if self.rate == 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.rate == 0.25:
            raise ValueError("a quarter is too much")
        return super().calculate_loss(interaction)
"""


@pytest.fixture
def cluster(tmp_path):
    """Address and environment of a Ray cluster of one CPU on this machine.

    Modules in `tmp_path` are known there: a cluster's machines have import paths of their own.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }
    temporary = tempfile.mkdtemp(prefix="ray")  # sockets in it need a short path
    ray = str(Path(sys.executable).with_name("ray"))
    options = "--num-cpus=1 --include-dashboard=false --object-store-memory=80000000".split()
    options += [f"--port={port}", f"--temp-dir={temporary}"]
    command = [ray, "start", "--head", "--block", *options]
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    process = subprocess.Popen(
        command,
        env={**os.environ, **env, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(PATIENCE * 10):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None
        time.sleep(0.1)
    yield f"127.0.0.1:{port}", env
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.wait(PATIENCE)
    psutil.wait_procs(family, timeout=PATIENCE)
    shutil.rmtree(temporary)


def test_on_a_cluster_asha_stops_trials_and_dead_ones_end_nothing(tiny_path, tmp_path, cluster):
    address, env = cluster
    (tmp_path / "mymodels.py").write_text(DYING)
    (tmp_path / "space.yaml").write_text("learning_rate: [0.00000001, 0.02, 0.25, 0.5]\n")
    words = _words(
        tmp_path / "sweep",
        tiny_path,
        model="mymodels:SASRec",
        search=tmp_path / "space.yaml",
        hidden_size=8,
        seed=2023,
        **{"trials": 9, "epochs": 3, "algorithm": "optuna", "address": address},
    )
    said = _finish(_start(words, PYTHONPATH=str(tmp_path), **env))
    trials = Ledger(tmp_path / "sweep/ledger.jsonl").trials()
    assert len(trials) == 4  # all that there are
    by_rate = {trial.params["learning_rate"]: trial for trial in trials}
    killed, raised = by_rate[0.5], by_rate[0.25]
    assert killed.status == raised.status == FAILED
    assert "was killed" in killed.message
    assert raised.message == "ValueError: a quarter is too much"
    good, poor = by_rate[0.02], by_rate[0.00000001]
    assert good.index < poor.index  # of this seed: one CPU runs them in their order
    assert (good.status, good.last_epoch) == (FINISHED, 3)
    assert (poor.status, poor.last_epoch) == (STOPPED, 1)
    assert f"best: trial {good.index} of 4" in said
    assert "failed: trials" in said
    assert (tmp_path / "sweep/result.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model=SASRec"], "tune: --dataset=… is missing"),
        (["--algorithm=grid"], "--algorithm=grid: not one of random, optuna"),
        (["--scheduler=pbt"], "--scheduler=pbt: not one of asha"),
        (["--trials=0"], "--trials=0: not a whole number from 1"),
        (["--trials=many"], "--trials=many: not a whole number"),
        (["--resources=cpu=1,tpu=2"], "'tpu=2' is not cpu=N or gpu=N"),
        (["--resources=cpu=1.5"], "'cpu=1.5' is not"),
        (["--resources=gpu=0.5", "--device=cpu"], "asks for a GPU, and --device=cpu for none"),
        (["--device=cuda:1"], "say --resources=gpu=… instead"),
        (["--learning_rte=1"], "--learning_rte: unknown key; did you mean learning_rate?"),
        (["--data_path=nowhere"], "nowhere"),
        (["--search=nothing.yaml"], "nothing.yaml: no such configuration file"),
        (["--resume"], "no search to resume"),
        (["--grace=9", "--epochs=2"], "--grace=9: more than the 2 epochs of a trial"),
        (["--grace=0"], "--grace=0: not a whole number from 1"),
        (["--reduction=nan"], "--reduction=nan: not a number above 1"),
        (["--scheduler=none", "--grace=2"], "--grace: has no effect with scheduler: 'none'"),
        (["--address=127.0.0.1:1"], "--address=127.0.0.1:1: no answer"),
        (["--address=mycluster"], "--address=mycluster: is not HOST:PORT"),
    ],
    ids=str,
)
def test_a_mistake_leaves_no_folder_behind(words, message, tiny_path, tmp_path, capsys):
    given = ["tune", "--model=SASRec", "--dataset=tiny", f"--output={tmp_path / 'sweep'}"]
    if words[0].startswith("--model"):
        given = ["tune"]
    if not any(word.startswith("--data_path") for word in words):
        given.append(f"--data_path={tiny_path}")
    assert main([*given, *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_a_folder_of_something_else_is_refused(tiny_path, tmp_path, capsys):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/thesis.txt").write_text("mine")
    for flags in ([], ["--resume"], ["--fresh"]):
        assert main(["tune", *_words(tmp_path / "sweep", tiny_path), *flags]) == 2
        assert "holds thesis.txt, and no search" in capsys.readouterr().err
    assert (tmp_path / "sweep/thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(("found", "message"), [(None, "tune needs Ray"), ("2.6.3", "too old")])
def test_a_missing_or_old_ray_is_named_with_the_command(
    found, message, tiny_path, monkeypatch, capsys
):
    from importlib.metadata import PackageNotFoundError

    from recbole_intent.tune import rays

    def version(name: str) -> str:
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(rays, "version", version)
    assert main(["tune", "--model=SASRec", "--dataset=tiny", f"--data_path={tiny_path}"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "pip install 'ray[tune]>=2.60'" in said


@pytest.mark.parametrize(
    "error",
    [
        Exception("The current node timed out during startup. This could happen because …"),
        RuntimeError(""),
        TimeoutError("no\nanswer"),
    ],
    ids=["late", "silent", "timeout"],
)
def test_ray_that_does_not_start_is_one_line_and_nothing_is_begun(
    tiny_path, tmp_path, monkeypatch, capsys, caplog, error
):
    space = tmp_path / "space.yaml"
    space.write_text(SPACE)
    words = _words(tmp_path / "new/search", tiny_path, search=space, trials=1, epochs=1)

    def fails(*_, **__):
        raise error

    monkeypatch.setattr("ray.init", fails)
    for _ in range(2):  # the same command tries again: there is nothing to resume
        with caplog.at_level("INFO", "recbole_intent"):
            assert main(["tune", *words]) == 2
        assert "starting Ray …" in caplog.messages
        err = capsys.readouterr().err.splitlines()
        assert len([line for line in err if line.startswith("error: Ray does not start: ")]) == 1
        assert not any("Traceback" in line for line in err)
        assert not (tmp_path / "new").exists()
    # What a kill at that moment leaves does not ask for --resume either.
    search = tmp_path / "new/search"

    def is_killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ray.init", is_killed)
    assert main(["tune", *words]) == 130
    assert (search / "sweep.json").is_file()
    monkeypatch.setattr("ray.init", fails)
    assert main(["tune", *words]) == 2
    assert "Ray does not start" in capsys.readouterr().err


STARTS = """
import os
from pathlib import Path
from recbole_intent.tune.rays import Engine, ray_running, require_ray

require_ray(None)
import ray

ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", _node_ip_address="127.0.0.1")
ray.shutdown()
for _ in range(2):
    with ray_running(Engine(1, 0, None), Path("search")):
        assert ray.is_initialized()
    assert "RAY_AUTH_TOKEN" not in os.environ
"""


def test_ray_starts_after_another_ray_of_the_process(tmp_path):
    """Ray keeps the token of its first start in memory: the second was refused with it."""
    (tmp_path / "search").mkdir()
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    env = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
    env |= {"PYTHONPATH": path, "HOME": str(tmp_path)}  # where Ray writes a token of its own
    command = [sys.executable, "-c", STARTS]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
