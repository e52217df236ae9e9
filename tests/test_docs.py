"""Commands, keys and names in README and docs/ exist, and the site builds without a warning."""

import ast
import importlib
import re
import subprocess
import sys

import pytest
import yaml

from recbole_intent.cli.commands import COMMANDS, FLAGS, TRAIN
from recbole_intent.cli.options import Asked, Command, parse
from recbole_intent.compare.entries import read_entries
from recbole_intent.compare.reproduce.paper_file import read_paper_table
from recbole_intent.config.config import Config
from recbole_intent.config.key_table import key_table
from recbole_intent.config.keys import CONDITION, SHARED
from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.tune.space import read_space
from tests.fixtures.pages import BLOCKS, PAGES, ROOT, commands

ALL = commands(BLOCKS)
INTENTS = ("IGRSR", "VELI4SBR", "ISRF")
# Of pip, torchrun, TensorBoard and benchmarks; a placeholder; a mistake on purpose.
OTHERS = ("help", "no_deps", "logdir", "nproc_per_node", "KEY", "learnin_rate")
PYTHON = [block for block in BLOCKS if block.kind == "python"]


def asked_of(words: tuple[str, ...]) -> tuple[Command, Asked]:
    """The command that `main` would choose: the one with the longest matching name."""
    named = [c for c in COMMANDS if words[: len(c.name.split())] == tuple(c.name.split())]
    command = max(named, key=lambda c: len(c.name), default=TRAIN)
    return command, parse(command, words[len(command.name.split()) :], FLAGS)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_commands_are_understood(words):
    if words in ((), ("models",)):
        return
    command, asked = asked_of(words)
    options, keys = asked.options, asked.keys
    if command is TRAIN:
        config = Config(options["model"], options["dataset"], config_dict=keys)
        assert config["model"] == options["model"]
    elif "reproduce" in options:
        assert read_paper_table(options["reproduce"])["rows"]
    elif command.name == "compare" and "params" not in options:
        entries = read_entries(options["models"], None, options["dataset"])
        for name in keys:
            assert any(name in key_table(get_spec(e.model).keys).rows for e in entries), name
    elif command.name == "tune":
        for model in options.get("models") or [options["model"]]:
            space, _ = read_space(model, None)
            assert space
            Config(model, options["dataset"], config_dict=keys)
    elif command.name == "evaluate":
        assert all(CONDITION in SHARED[name].roles for name in keys)


def known_options() -> set[str]:
    """All that may follow `--`: options of commands, keys of every model, options of enrich."""
    names = {option.name for command in (TRAIN, *COMMANDS) for option in command.options}
    names |= {name for model in model_names() for name in key_table(get_spec(model).keys).rows}
    for folder in ("model", "enrich", "dataset"):
        for path in (ROOT / "properties" / folder).glob("*.yaml"):
            names |= set(yaml.safe_load(path.read_text("utf-8")) or ())
    names |= set(yaml.safe_load((ROOT / "properties" / "overall.yaml").read_text("utf-8")))
    return names


def test_options_in_the_text_exist():
    known = known_options() | {
        "help",
        "no_deps",
        "logdir",
        "requirement",
        "nproc_per_node",
        "threads",
    }
    for path in PAGES:
        for words in re.findall(r"`([^`\n]*)`", path.read_text("utf-8")):
            for name in re.findall(r"(?<![\w-])--([\w.-]+)", words):
                first = name.replace("-", "_").split(".")[0]
                assert (
                    first in known or first in model_names() or first in ("KEY", "learnin_rate")
                ), f"{path.name}: --{name}"


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.page)
def test_python_compiles_and_its_imports_exist(block):
    for node in ast.walk(ast.parse(block.text, block.page)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_frames_of_the_data_guide_are_prepared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = (b for b in PYTHON if b.page == "docs/data.md")
    exec(compile(block.text, block.page, "exec"), {})
    assert (tmp_path / "dataset" / "mine" / "mine.item").is_file()


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "yaml"], ids=lambda b: b.page)
def test_yaml_is_read(block):
    assert yaml.safe_load(block.text)


def test_site_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    page = (tmp_path / "models" / "igrsr" / "index.html").read_text("utf-8")
    assert "<math" in page
    assert "icr_temperature" in page
    assert "make:" not in page
    baselines = (tmp_path / "models" / "baselines" / "index.html").read_text("utf-8")
    assert all(
        name in baselines for name in model_names() if name not in ("IGRSR", "VELI4SBR", "ISRF")
    )
