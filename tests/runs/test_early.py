"""Mistakes that are answered before torch is imported, in the words of the command itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_intent.config.config import Config
from recbole_intent.config.given import Given, check_given
from recbole_intent.config.registry import model_names
from recbole_intent.data.loading.inputs import check_files
from recbole_intent.runs.early import check_finished, check_run
from recbole_intent.utils.errors import UserError

WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = sys.modules["pandas"] = None  # importing them fails
from recbole_intent.runs.early import check_run
from recbole_intent.utils.errors import UserError
said = []
for arguments in json.load(sys.stdin):
    try:
        said.append(check_run(*arguments))
    except UserError as error:
        said.append(str(error))
print(json.dumps(said))
"""


def _said(*arguments) -> str:
    """The error of a run that is not checked early."""
    with pytest.raises(UserError) as error:
        check_files(Config(*arguments))
    return str(error.value)


def test_mistakes_without_torch(tmp_path: Path):
    broken, unknown, other = (tmp_path / f"{name}.yaml" for name in ("broken", "unknown", "other"))
    broken.write_text("epochs: [")
    unknown.write_text("hidden_sise: 64")
    other.write_text("model: BPR")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.yaml").write_text("epochs: none")
    here = {"data_path": str(tmp_path)}
    cases = [
        ["SASrec", "ml-100k", [], {}],
        ["DIN", "ml-100k", [], {}],
        ["SASRec", "ml-100k", [str(tmp_path / "absent.yaml")], {}],
        *(["SASRec", "ml-100k", [str(path)], {}] for path in (broken, unknown, other)),
        ["SASRec", "ml-100k", [], {"hidden_sise": 8}],
        ["SASRec", "ml-100k", [], {"epochs": 0}],
        ["LightGCN", "ml-100k", [], {"gpu_id": 1}],
        ["SASRec", "ml-100k", [], {"preset": "papers"}],
        ["SASRec", "absent", [], here],
        ["SASRec", "own", [], here],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        input=json.dumps(cases),
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [_said(*case) for case in cases]


@pytest.mark.parametrize("options", [{}, {"dropout_prob": 0.1, "anything": 1}], ids=str)
def test_what_is_no_mistake(options):
    """A class outside the table, and unknown keys if they are allowed, are left to the command."""
    check_run("package.module:Class", "ml-100k", (), options)
    check_run("SASRec", "ml-100k", (), options, allow_unknown=True)


def test_every_model_has_the_defaults_of_its_configuration():
    for name in model_names():
        config = Config(name, "ml-100k")
        theirs = {k: v for k, v in config.internal_config_dict.items() if k != "MODEL_TYPE"}
        assert check_given(name, "ml-100k", Given()) == theirs, name


def test_a_run_that_is_not_finished(tmp_path: Path):
    with pytest.raises(UserError, match="no finished run"):
        check_finished(tmp_path)
    with pytest.raises(UserError, match="--epochs: would need another training"):
        check_finished(tmp_path, {"epochs": 3})
