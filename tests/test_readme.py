"""What the README tells people to type works as it stands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_intent.cli import parse_arguments
from recbole_intent.config import Config, parse_value

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    shlex.split(line.partition("#")[0])[2:]
    for block in re.findall(r"```\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.startswith("python run_recbole_intent.py")
]


def run_in(folder: Path, *arguments: str) -> str:
    """Run Python in an empty folder; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readme_has_snippets_and_commands() -> None:
    assert len(SNIPPETS) == 2
    assert len(COMMANDS) == 4


def test_python_api_snippet_trains_and_prints_the_metric(tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(SNIPPETS[0], "utf-8")
    folder, metric = run_in(tmp_path, "snippet.py").split()[-2:]
    assert (tmp_path / folder / "result.json").is_file()
    assert 0 < float(metric) < 1


def test_own_model_snippet_registers_the_class(tmp_path: Path) -> None:
    check = "\nfrom recbole_intent.registry import get_spec\n\n"
    check += 'print(get_spec("MyModel").model_class() is MyModel)\n'
    (tmp_path / "snippet.py").write_text(SNIPPETS[1] + check, "utf-8")
    assert run_in(tmp_path, "snippet.py").split() == ["True"]


@pytest.mark.parametrize("words", [c for c in COMMANDS if c[0].startswith("--model")])
def test_run_commands_have_known_keys(words: list[str]) -> None:
    options, flags = parse_arguments(words)
    model, dataset = options.pop("model"), options.pop("dataset")
    config = Config(model, dataset, config_dict={k: parse_value(v) for k, v in options.items()})
    assert config["model"] == model
    assert not flags


def test_small_run_then_evaluate_under_noise(tmp_path: Path) -> None:
    """The README's ml-100k run, and its evaluate command on the folder that the run names."""
    (train,) = (c for c in COMMANDS if "--dataset=ml-100k" in c)
    (evaluate,) = (c for c in COMMANDS if c[0] == "evaluate")
    script = str(ROOT / "run_recbole_intent.py")
    out = run_in(tmp_path, script, *train, "--show_progress=False")
    folder = out.rsplit("results: ", 1)[1].strip()
    words = [word.replace("saved/…", folder) for word in evaluate]
    out = run_in(tmp_path, script, *words)
    assert "ndcg@10" in out
    assert len(list((tmp_path / folder / "evaluations").glob("*.json"))) == 1


def test_prepare_command_on_the_real_files(tmp_path: Path, shared_datasets: Path) -> None:
    (words,) = (c for c in COMMANDS if c[0] == "prepare")
    words = [word.replace("PATH", str(shared_datasets / "amazon-toys")) for word in words]
    out = run_in(tmp_path, str(ROOT / "run_recbole_intent.py"), *words)
    assert "19,412" in out
    assert "167,597" in out
