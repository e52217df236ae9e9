"""The file `result.json` of a finished run; nothing here imports torch."""

import os
from pathlib import Path
from typing import Any

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.own_files import NUMBER, Kinds, checked, damaged, read_json

TRAIN_AGAIN = "train the run again: its command with --fresh"
# Keys of `result.json` that other commands read.
_RESULT: Kinds = {
    **dict.fromkeys(("model", "dataset"), str),
    **dict.fromkeys(("seed", "best_epoch", "epochs"), int),
    **dict.fromkeys(("valid", "test"), dict),
    **dict.fromkeys(("seconds", "pretraining_seconds", "peak_memory_mib"), NUMBER),
    **dict.fromkeys(("history", "approximations"), list),
}
# Runs older than these keys lack them.
_NEWER: Kinds = {
    "task": str,
    "candidates": (dict, type(None)),
    "mask_history": bool,
    "parameters": int,
    "deviations": list,
    "data": dict,
    "versions": dict,
    "commit": (str, type(None)),
}
_CANDIDATES: Kinds = {"negatives": int, "hash": str}
_RECORD: Kinds = {"epoch": int, "seconds": NUMBER}


def read_result(folder: str | Path) -> dict[str, Any]:
    """Return the contents of a finished run's `result.json`.

    Raises:
        UserError: missing or damaged.
    """
    path = Path(folder) / "result.json"
    if not os.path.lexists(path):
        raise UserError(f"{folder}: no finished run (no result.json)")
    again = "remove it, and the run's command tests the run again"
    result = read_json(path, _RESULT, again)
    checked(path, result, {key: kind for key, kind in _NEWER.items() if key in result}, again)
    if result.get("candidates"):
        checked(path, result["candidates"], _CANDIDATES, again)
    metrics = dict.fromkeys(result["test"], NUMBER)
    if not metrics:
        raise damaged(path, "test is empty", again)
    for record in [result, *result["history"]]:
        if record is not result:
            checked(path, record, _RECORD, again)
        if "valid" in record:  # not every epoch is evaluated
            checked(path, record, {"valid": dict}, again)
            checked(path, record["valid"], metrics, again)
    checked(path, result["test"], metrics, again)
    for key in ("approximations", "deviations"):
        if not all(isinstance(line, str) for line in result.get(key, ())):
            raise damaged(path, f"{key}: a line is not text", again)
    return result
