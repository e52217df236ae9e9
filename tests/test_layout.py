"""Imports point down the list of packages, and no two modules need each other."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME = "recbole_intent"
# Each package may import those after it. CONTRIBUTING.md says what is in them.
ORDER = (
    "quick_start cli serve compare tune recommend runs enrich llm models trainer modeling plotting "
    "evaluation data nn config utils"
).split()


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Module -> modules of ours that it imports, also inside functions."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / NAME).rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        graph[module] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == NAME:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[module] |= {name if name in files else node.module for name in names}
    return graph


def test_every_module_is_in_a_package(imports):
    packages = {module.split(".")[1] for module in imports if "." in module}
    assert packages == set(ORDER)


def test_imports_point_down(imports):
    up = []
    for module, needed in imports.items():
        for other in needed - {NAME}:
            ours, theirs = (
                ORDER.index(m.split(".")[1]) if "." in m else -1 for m in (module, other)
            )
            if ours > theirs:
                up.append((module, other))
    assert not up


def test_no_cycles(imports):
    try:
        TopologicalSorter({m: needed - {m} for m, needed in imports.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_paper_does_not_read_another(imports):
    """A model's folder imports no other's, but for the parts that many build on."""
    shared = {"backbones", "distilled", "generative", "sasrec", "gru4rec", "bert4rec", "lightgcn"}
    for module, needed in imports.items():
        if module.startswith(f"{NAME}.models."):
            folder = module.split(".")[2]
            others = {m.split(".")[2] for m in needed if m.startswith(f"{NAME}.models.")}
            assert others <= {folder} | shared, module
