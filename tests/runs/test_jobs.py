"""Jobs in processes of their own: their words, their failures, their end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from recbole_intent.runs import jobs as jobs_module
from recbole_intent.runs.jobs import Job, run_jobs

PATIENCE = 120  # seconds until a test gives up; nothing depends on its value

MODEL = """
import os, signal, time
from pathlib import Path
from recbole.model.sequential_recommender import SASRec as Base

class SASRec(Base):  # the name finds its default values
    def calculate_loss(self, interaction):
        Path("{folder}").joinpath(str(os.getpid())).touch()
        {does}
"""


@pytest.fixture
def job(tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a job that trains a class of the user whose loss does what it is told."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "pids").mkdir()

    def make(name: str, does: str) -> Job:
        text = MODEL.format(folder=tmp_path / "pids", does=does)
        (tmp_path / f"{name.lower()}.py").write_text(text)
        options = {
            "data_path": str(tiny_path),
            "checkpoint_dir": str(tmp_path / "saved"),
            "device": "cpu",
            "show_progress": False,
            "tensorboard": False,
        }
        arguments = {
            "model": f"{name.lower()}:SASRec",
            "dataset": "tiny",
            "config_files": [],
            "overrides": options,
        }
        return Job(name, "train", arguments)

    return make


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait(condition) -> None:
    for _ in range(PATIENCE * 50):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s")


def test_reasons_of_all_kinds(job, tmp_path, capfd):
    """A mistake of the user, an exception, and a kill; each is its own row, side by side."""
    jobs = [
        Job("absent", "evaluate", {"folder": str(tmp_path), "conditions": [{}]}),
        job("Raises", "raise RuntimeError('one\\nand another line')"),
        job("Killed", "os.kill(os.getpid(), signal.SIGKILL)"),
    ]
    reasons = run_jobs(jobs, 2, tmp_path / "logs")
    assert reasons == {
        "absent": f"{tmp_path}: no finished run (no result.json)",
        "Raises": "RuntimeError: one and another line",
        "Killed": "ended by SIGKILL (out of memory?)",
    }
    said = capfd.readouterr().err
    assert "Raises: SASRec on tiny, seed 2020" in said
    assert "Killed: failed: ended by SIGKILL" in said
    assert "Traceback" in (tmp_path / "logs/train_Raises.txt").read_text()


def test_no_jobs_start_nothing(tmp_path):
    assert run_jobs([], 2, tmp_path / "logs") == {}
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT], ids=str)
def test_children_end_with_their_parent(job, tmp_path, blow):
    sleeper = job("Sleeper", "time.sleep(1000)")
    code = (
        "from pathlib import Path\nfrom recbole_intent.runs.jobs import Job, run_jobs\n"
        f"run_jobs([Job('a', 'train', {dict(sleeper.arguments)!r})], 1, Path({str(tmp_path)!r}))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(lambda: list((tmp_path / "pids").iterdir()) or parent.poll() is not None)
        (child,) = (int(path.name) for path in (tmp_path / "pids").iterdir())
        assert _is_running(child)
        parent.send_signal(blow)
        assert parent.wait(PATIENCE) != 0
        _wait(lambda: not _is_running(child))
    finally:
        parent.kill()


def _result(folder: Path) -> dict:
    """What does not depend on the clock: weights by their metrics, losses, losses by epoch."""
    result = json.loads((folder / "result.json").read_text())
    clock = ("seconds", "train_seconds")
    history = [{k: v for k, v in e.items() if k not in clock} for e in result["history"]]
    return {k: result[k] for k in ("test", "valid", "best_epoch", "parameters")} | {"e": history}


def test_a_job_does_not_depend_on_those_before_it(tiny_path, tmp_path):
    """Three jobs in one worker process: each as in a process of its own, to the last bit."""

    def jobs(root: str) -> list[Job]:
        shared = {"data_path": str(tiny_path), "device": "cpu", "epochs": 2, "hidden_size": 8}
        models = {"BPR": {"embedding_size": 8}, "SASRec": {"inner_size": 8}, "GRU4Rec": {}}
        return [
            Job(
                name,
                "train",
                {
                    "model": name,
                    "dataset": "tiny",
                    "config_files": [],
                    "overrides": {**shared, **own, "checkpoint_dir": str(tmp_path / root)},
                    "allow_unknown": True,
                    "allow_idle": True,
                },
            )
            for name, own in models.items()
        ]

    together = jobs("together")
    killed = Job("Killed", "evaluate", {})  # a wrong call in between ends its copy alone
    reasons = run_jobs([*together[:1], killed, *together[1:]], 1, tmp_path / "logs")
    assert [name for name, reason in reasons.items() if reason] == ["Killed"]
    assert "TypeError" in reasons["Killed"]
    for job in jobs("alone")[1:]:
        assert run_jobs([job], 1, tmp_path / "logs") == {job.name: None}
    for folder in (tmp_path / "alone").iterdir():
        assert _result(folder) == _result(tmp_path / "together" / folder.name)
    assert len(list((tmp_path / "alone").iterdir())) == 2


def test_jobs_share_a_process_until_it_dies(tmp_path, monkeypatch):
    """One import of torch for all; a worker that was killed is replaced for the next job."""
    started = []
    start = jobs_module._Worker.__init__

    def counting(worker, errors):
        start(worker, errors)
        started.append(worker)
        if len(started) == 1:
            worker._process.kill()

    monkeypatch.setattr(jobs_module._Worker, "__init__", counting)
    absent = {"folder": str(tmp_path), "conditions": [{}]}
    jobs = [Job(name, "evaluate", absent) for name in "abc"]
    reasons = run_jobs(jobs, 1, tmp_path / "logs")
    unfinished = f"{tmp_path}: no finished run (no result.json)"
    killed = "ended by SIGKILL (out of memory?)"
    assert reasons == {"a": killed, "b": unfinished, "c": unfinished}
    assert len(started) == 2
    assert all(worker._process.poll() is not None for worker in started)


def test_what_workers_import_starts_neither_cuda_nor_threads():
    """A copy of a process that had used either could not use them."""
    code = """
import os, torch
def refuse(*_): raise AssertionError("CUDA was asked for")
torch._C._cuda_getDeviceCount = torch.cuda.is_available = torch.cuda.device_count = refuse
import recbole_intent.runs.evaluate
assert not torch.cuda.is_initialized()
names = [open(f"/proc/self/task/{t}/comm").read() for t in os.listdir("/proc/self/task")]
# pyarrow's allocator, which pandas loads, looks after its thread at a fork.
print(len([name for name in names if "jemalloc" not in name]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "4"}
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "1\n", done.stderr
