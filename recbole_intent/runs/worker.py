"""Worker process: imports torch once and runs each job in a copy (fork) of itself.

`jobs.py` starts it, with a socket as standard input. Each message on it brings the three standard
streams of one job; the answer is the exit status of the copy that ran it. A copy has nothing of
earlier jobs, whose results it therefore cannot depend on: neither seeds nor memory nor GPUs.

The first line of a job's standard input is the job, and the pipe stays open as long as the parent
lives. Log lines go to standard output; errors and tracebacks go to standard error.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import say, show_log


def _train(model: str, dataset: str, config_files: list[str], overrides: dict, **how: Any) -> None:
    from recbole_intent.runs.experiment import run

    run(model, dataset, config_files, overrides, **how)


def _evaluate(folder: str, conditions: list[dict[str, Any]]) -> None:
    from recbole_intent.runs.evaluate import evaluate_run

    for condition in conditions:
        evaluate_run(folder, condition)


def _time_inference(folder: str, machine: dict[str, Any]) -> None:
    from recbole_intent.runs.evaluate import time_inference

    time_inference(folder, machine)


TASKS: dict[str, Callable[..., None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "time": _time_inference,
}


def main() -> int:
    """Run jobs until the parent closes the socket or ends; in a copy, return its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent stops this process
    import recbole_intent.runs.evaluate  # noqa: F401  (for all copies)

    jobs = socket.socket(fileno=os.dup(0))
    while True:
        message, streams, *_ = socket.recv_fds(jobs, 1, 3)
        if not message:
            return 0
        copy = os.fork()
        if copy == 0:
            jobs.close()
            for target, stream in enumerate(streams):
                os.dup2(stream, target)
                os.close(stream)
            return run_job()
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(copy, 0)
        try:
            jobs.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        except BrokenPipeError:
            return 0


def run_job() -> int:
    """Run the job on standard input; return 0, or 2 after a user error, which is printed."""
    sys.excepthook = _tell
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    show_log(sys.stdout)
    try:
        TASKS[job["task"]](**job["arguments"])
    except UserError as error:
        say(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback, then the reason on one line even if the message has several."""
    sys.__excepthook__(kind, error, trace)
    say(f"{kind.__name__}: {' '.join(str(error).split())}", file=sys.stderr)


def _end_with_parent() -> None:
    # Not `sys.stdin.read`: a thread that waits in it blocks interpreter shutdown.
    while os.read(0, 1):
        pass
    os._exit(1)  # file writes are atomic, so no cleanup is needed


if __name__ == "__main__":
    sys.exit(main())
