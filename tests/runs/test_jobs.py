"""Jobs in processes of their own: their words, their failures, their end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

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
