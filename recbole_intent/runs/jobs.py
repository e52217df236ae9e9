"""Run jobs in parallel, each in its own process, with one live status line for all of them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint
from recbole_intent.utils.printable import printable

_LONGEST = 100  # bytes of a log's name before .txt


@dataclass(frozen=True)
class Job:
    """A job for one worker process.

    Attributes:
        name: name on the console.
        task: one of `worker.TASKS`.
        arguments: arguments of the task; plain values.
    """

    name: str
    task: str
    arguments: Mapping[str, Any]


def run_jobs(
    jobs: Sequence[Job], workers: int, logs: Path, title: str = "jobs"
) -> dict[str, str | None]:
    """Run jobs, `workers` at a time, and wait for all of them.

    The worker processes end when this process ends, even if it is killed. Their log lines are
    shown under their names; their standard error goes to `logs/<name>.txt`.

    Args:
        jobs: jobs with distinct names.
        workers: number of parallel processes, >= 1.
        logs: folder, created if missing.
        title: title of the progress bar.

    Returns:
        Name -> None if the job succeeded, else the reason in one line.
    """
    if not jobs:
        return {}
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{logs}: cannot be written: {error.strerror or error}") from error
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    reasons: dict[str, str | None] = {}
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(title, total=len(jobs))
        names = log_files(jobs)
        crew = _Crew(lambda line: console.print(printable(line), markup=False))
        pool = ThreadPoolExecutor(workers)
        try:
            waiting = {
                pool.submit(crew.work, job, logs / name): job
                for job, name in zip(jobs, names, strict=True)
            }
            for future in as_completed(waiting):
                name = waiting[future].name
                reasons[name] = future.result()
                end = "done" if reasons[name] is None else f"failed: {reasons[name]}"
                console.print(printable(f"{name}: {end}"), markup=False)
                progress.advance(bar)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            crew.stop()
            pool.shutdown()
    return reasons


def log_files(jobs: Sequence[Job]) -> list[str]:
    """A file name for each job, unique even on case-insensitive file systems.

    It is derived from the job's name. A hash of the exact name is appended if the name is too
    long or clashes with another job's.
    """
    plain = [re.sub(r"[^\w.+-]+", "_", f"{job.task} {job.name}") for job in jobs]
    count = Counter(name.casefold() for name in plain)
    names = []
    for job, name in zip(jobs, plain, strict=True):
        if count[name.casefold()] > 1 or len(name.encode()) > _LONGEST:
            short = name.encode()[: _LONGEST - 11].decode(errors="ignore")
            name = f"{short}-{fingerprint(job.name)[:10]}"
        names.append(f"{name}.txt")
    return names


class _Crew:
    """The running worker processes.

    Args:
        say: called with each line that they log.
    """

    def __init__(self, say) -> None:
        self.say = say
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen] = set()
        self._stopped = False

    def work(self, job: Job, log: Path) -> str | None:
        """Run one job to its end; return None, or the reason for its failure."""
        try:
            errors = open(log, "w", encoding="utf-8")  # noqa: SIM115 (closed by the with below)
        except OSError as error:
            return f"{log}: cannot be written: {error.strerror or error}"
        with errors:
            with self._lock:
                if self._stopped:
                    return "stopped"
                process = _start(errors)
                self._processes.add(process)
            try:
                return self._follow(process, job) or _reason(process.wait(), log)
            finally:
                process.kill()
                process.wait()
                process.stdin.close()
                process.stdout.close()
                with self._lock:
                    self._processes.discard(process)

    def _follow(self, process: subprocess.Popen, job: Job) -> str | None:
        order = {"task": job.task, "arguments": dict(job.arguments)}
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return None  # it ended at once: see its exit status
        for line in process.stdout:
            self.say(f"{job.name}: {line.rstrip()}")
        return None

    def stop(self) -> None:
        """Stop the running processes and start no others."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.kill()


def _start(errors) -> subprocess.Popen:
    # The child finds the same packages, including the user's own modules.
    path = os.pathsep.join(str(Path(folder or ".").resolve()) for folder in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "recbole_intent.runs.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8:backslashreplace"},
        encoding="utf-8",
        errors="replace",
    )


def _reason(status: int, log: Path) -> str | None:
    """Why a process failed, from its exit status and the end of its log; None if it succeeded."""
    if status == 0:
        return None
    if status < 0:
        name = signal.Signals(-status).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return printable(lines[-1]).removeprefix("error: ") if lines else f"ended with status {status}"
