"""A run that is killed on its way, and what it must have in common with one that is not."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_intent.runs.experiment import run

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds until a test gives up on a process; nothing depends on its value


@pytest.fixture
def killed_run(tmp_path: Path) -> Callable[[str, dict[str, Any], str, int], Path]:
    """Start a model on `tiny`, and `kill -9` it once its log has said `words` so often."""

    def start_and_kill(model: str, options: dict[str, Any], words: str, times: int) -> Path:
        folder = tmp_path / "killed"
        given = {"model": model, "dataset": "tiny", "output": folder, **options}
        command = [sys.executable, str(ROOT / "run_recbole_intent.py")]
        command += [f"--{key}={value}" for key, value in given.items()]
        log = folder / "log"
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
        for _ in range(PATIENCE * 100):
            if log.is_file() and log.read_text().count(words) >= times:
                break
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.01)
        else:
            process.kill()
            raise AssertionError(f"no {words!r} after {PATIENCE} s")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (folder / "result.json").exists()
        return folder

    return start_and_kill


@pytest.fixture
def ends_as_undisturbed(tmp_path: Path) -> Callable[[str, dict[str, Any], Path], None]:
    """Let a killed run go on, and assert that its weights are those of one that was not."""

    def check(model: str, options: dict[str, Any], killed: Path) -> None:
        whole = tmp_path / "whole"
        for folder in (killed, whole):
            run(model, "tiny", overrides=options, output=folder)
        assert "continues after epoch" in (killed / "log").read_text()
        for file in ("last.pt", "best.pt"):
            a, b = (torch.load(folder / file)["state_dict"] for folder in (killed, whole))
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a)

    return check
