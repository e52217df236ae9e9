"""A table of a paper that is small enough to be made."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from recbole_intent.compare.reproduce import paper_file

SMALL_SASREC = {"hidden_size": 8, "MAX_ITEM_LIST_LENGTH": 8}
MINI = {
    "paper": "A paper",
    "table": "Table 1",
    "reference": "small",
    "datasets": {"tiny": "Tiny", "tiny2": "Tiny 2"},
    "columns": [
        {"name": "Recall@10", "metric": "recall@10"},
        {"name": "noisy", "metric": "recall@10", "noise": {"kind": "delete", "ratio": 0.5}},
        {"name": "change", "change": ["Recall@10", "noisy"]},
        {"name": "time, s", "time": "inference"},
    ],
    "rows": [
        {
            "label": "small",
            "model": "SASRec",
            "params": SMALL_SASREC,
            "at": {"hidden_size": 8},
            "printed": {"tiny": [0.4, 0.3, -0.25, 3210]},
        },
        {"label": "missing", "model": "NotHere", "printed": {"tiny": [0.1, None, None, None]}},
    ],
    "notes": ["A note."],
}


@pytest.fixture
def small() -> dict[str, int]:
    """Keys of the SASRec of that table."""
    return dict(SMALL_SASREC)


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a table of a paper, for `--reproduce=mini`: `paper(task="direct")`; its path."""

    def write(**changes) -> Path:
        path = tmp_path / "properties" / "reproduce" / "mini.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({**MINI, **changes}))
        monkeypatch.setattr(paper_file, "properties_dir", lambda: path.parent.parent)
        return path

    return write
