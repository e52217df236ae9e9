"""One job in a process of its own, told on standard input, that ends when its parent does.

`jobs.py` starts it: the first line of standard input is the job, and the pipe stays open as long
as the parent lives. What the job logs goes to standard output, a line each; mistakes and
tracebacks go to standard error.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from recbole_intent.errors import UserError
from recbole_intent.printable import say, show_log


def _train(model: str, dataset: str, config_files: list[str], overrides: dict, **how: Any) -> None:
    from recbole_intent.experiment import run

    run(model, dataset, config_files, overrides, **how)


def _evaluate(folder: str, conditions: list[dict[str, Any]]) -> None:
    from recbole_intent.evaluate import evaluate_run

    for condition in conditions:
        evaluate_run(folder, condition)


def _time_inference(folder: str, machine: dict[str, Any]) -> None:
    from recbole_intent.evaluate import time_inference

    time_inference(folder, machine)


TASKS: dict[str, Callable[..., None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "time": _time_inference,
}


def main() -> int:
    """Do the job; returns 0, or 2 for a mistake of the user, said on standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this
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
    """The traceback, and below it the reason in one line, whatever lines the message has."""
    sys.__excepthook__(kind, error, trace)
    say(f"{kind.__name__}: {' '.join(str(error).split())}", file=sys.stderr)


def _end_with_parent() -> None:
    # Not `sys.stdin.read`: a thread that waits in it blocks the interpreter's end.
    while os.read(0, 1):
        pass
    os._exit(1)  # files are whole or not there, so nothing needs to be tidied


if __name__ == "__main__":
    sys.exit(main())
