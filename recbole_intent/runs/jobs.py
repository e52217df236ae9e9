"""Run jobs in parallel in worker processes, with one live status line for all of them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint
from recbole_intent.utils.printable import printable

_LONGEST = 100  # bytes of a log's name before .txt
_ENCODING = "utf-8:backslashreplace"


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

    A worker process runs one job after another, each in a copy of itself (`worker.py`). All end
    when this process ends, even if it is killed. The jobs' log lines are shown under their names;
    their standard error goes to `logs/<name>.txt`.

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
    console = Console(stderr=True, highlight=False, soft_wrap=True, force_jupyter=False)
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
    """The worker processes.

    Args:
        say: called with each line that their jobs log.
    """

    def __init__(self, say) -> None:
        self.say = say
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
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
                worker = self._idle.pop() if self._idle else _Worker(errors)
                self._workers.add(worker)
            status = worker.run(job, errors, lambda line: self.say(f"{job.name}: {line.rstrip()}"))
            with self._lock:
                if worker.is_usable:
                    self._idle.append(worker)
                else:
                    self._workers.discard(worker)
        return _reason(status, log)

    def stop(self) -> None:
        """Stop all workers and their jobs, and start no others."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.end()


class _Worker:
    """One worker process.

    Args:
        errors: file for what it says if it cannot start.
    """

    def __init__(self, errors: TextIO) -> None:
        # The child finds the same packages, including the user's own modules.
        path = os.pathsep.join(str(Path(folder or ".").resolve()) for folder in sys.path)
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "recbole_intent.runs.worker"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": _ENCODING},
                process_group=0,  # its own, with the jobs
            )
        self.is_usable = True

    def run(self, job: Job, errors: TextIO, say: Callable[[str], None]) -> int:
        """Run one job to its end; return its exit status, negative for a signal.

        Args:
            job: the job.
            errors: file for its standard error.
            say: called with each line of its standard output.
        """
        order, life = os.pipe()  # the job ends when `life` is closed
        output, stdout = os.pipe()
        with open(life, "wb", buffering=0) as life_file, _lines(output) as lines:
            try:
                socket.send_fds(self._socket, [b"j"], [order, stdout, errors.fileno()])
            except OSError:
                return self.end()
            finally:
                os.close(order)
                os.close(stdout)
            words = json.dumps({"task": job.task, "arguments": dict(job.arguments)})
            with suppress(BrokenPipeError):  # it ended at once: see its exit status
                life_file.write(f"{words}\n".encode())
            for line in lines:
                say(line)
            answer = self._answer()
        return int(answer) if answer else self.end()

    def _answer(self) -> bytes:
        """Return the exit status in digits; empty if the worker ended too."""
        answer = b""
        try:
            while not answer.endswith(b"\n") and (part := self._socket.recv(16)):
                answer += part
        except OSError:
            return b""
        return answer

    def end(self) -> int:
        """Kill the process and its job, and return its exit status."""
        self.is_usable = False
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()


def _lines(descriptor: int) -> TextIO:
    return open(descriptor, encoding="utf-8", errors="replace")


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
