"""Bars and epoch lines on a terminal, in a notebook, in a pipe."""

import io
import os

import nbclient
import pytest
from nbformat import v4 as nbformat

from recbole_intent.utils.progress import bar

CODE = """
import recbole_intent as ri
done = ri.run(
    "Pop", "tiny", data_path={path!r}, output={output!r}, tensorboard=False, device="cpu"
)
done
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "shows", "is_drawn"),
    [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)],
)
def test_bars_are_for_terminals(stream, shows, is_drawn):
    out = stream()
    assert list(bar(range(3), shows=shows, file=out, desc="epoch")) == [0, 1, 2]
    assert ("epoch" in out.getvalue()) is is_drawn


@pytest.mark.parametrize("first", ["", "import logging; logging.basicConfig()"])
def test_epoch_lines_in_a_notebook(tiny_path, tmp_path, first):
    """Also where, as in Colab, the root logger has a handler."""
    code = CODE.format(path=str(tiny_path), output=str(tmp_path / "run"))
    notebook = nbformat.new_notebook(cells=[nbformat.new_code_cell(first + code)])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(("", os.getcwd()))}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(cwd=str(tmp_path), env=environment)
    outputs = notebook.cells[0].outputs
    text = "".join(each.get("text", "") for each in outputs)
    assert text.count("train 1/1: ") == 1
    assert "\r" not in text
    assert any("<table" in each.get("data", {}).get("text/html", "") for each in outputs)


def test_a_bar_begins_to_iterate_once():
    """`tqdm.auto` asks twice for an iterator; each costs a loader a random number."""

    class Loader:
        begun = 0

        def __len__(self):
            return 2

        def __iter__(self):
            self.begun += 1
            return iter([1, 2])

    loader = Loader()
    shown = bar(loader, shows=False)
    assert shown.total == 2
    assert list(shown) == [1, 2]
    assert loader.begun == 1
