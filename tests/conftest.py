"""Fixtures that many tests share."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """Folder of real research data beside the checkout, or RECBOLE_INTENT_SHARED/datasets.

    They must not be redistributed, so a machine without them skips.
    """
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("RECBOLE_INTENT_SHARED", beside)) / "datasets"
    if not (folder / "amazon-toys").is_dir():
        pytest.skip("no shared/datasets beside the checkout (set RECBOLE_INTENT_SHARED)")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file under `tmp_path/raw`: text as it is, records as JSON lines, .gz packed."""

    def write_file(name: str, content: str | bytes | list[dict]) -> Path:
        if isinstance(content, list):
            content = "".join(json.dumps(record) + "\n" for record in content)
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / "raw" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file
