"""The notebooks run from their first cell to their last, in a real kernel and on small settings."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "1-own-ratings": "epochs, n_users = 4, 150",
    "2-sweep": "epochs, trials, passes = 1, 2, 1",
    "3-sessions-and-intents": "epochs, passes = 1, 1",
}
# Texts that the outputs of the last cells contain.
SHOWN = {
    "1-own-ratings": ("(p ", "cosine", "Drama"),
    "2-sweep": ("learning_rate", "page.html", "test"),
    "3-sessions-and-intents": ("Sci-Fi", "weight", "other"),
}


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_here_and_linked():
    names = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert names == set(SMALL)
    for name in names:
        assert f"notebooks/{name}.ipynb" in (ROOT / "README.md").read_text("utf-8")
        assert f"notebooks/{name}.md" in (ROOT / "docs/quick-start.md").read_text("utf-8")


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_is_committed_without_outputs(name):
    cells = [cell for cell in read(name).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    (parameters,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    assert parameters is cells[0]


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_runs(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = read(name)
    (at,) = [n for n, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", ())]
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(SMALL[name]))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    text = "".join(
        out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs
    )
    for words in SHOWN[name]:
        assert words in text, words
