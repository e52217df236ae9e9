"""Whatever becomes of a file of ours, every command that reads it says so in one line, or goes on.

One finished run (and one search) is copied for each case; commands run in this process.
"""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recbole_intent.cli.main import main
from recbole_intent.evaluation.report import metric_table
from recbole_intent.runs.evaluate import (
    evaluate_run,
    find_evaluation,
    find_inference,
    time_inference,
)
from recbole_intent.runs.result import read_result
from recbole_intent.tune.ledger import Ledger
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.own_files import (
    checked,
    read_json,
    read_json_lines,
    read_mapping,
    read_npz,
)


def _half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _looping(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": _half,
    "empty": lambda path: path.write_bytes(b""),
    "{}": lambda path: path.write_text("{}"),
    "[]": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null\n"),
    "nested": lambda path: path.write_text("[" * 20_000),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "zip": lambda path: np.savez(path.open("wb"), other=np.arange(3)),
    "folder": _folder,
    "link": _looping,  # stands for what cannot be read: root may read everything
    "absent": lambda path: path.unlink(),
}


def _shared(data_path: Path, root: Path) -> list[str]:
    return [
        *("--dataset=tiny", f"--data_path={data_path}", "--device=cpu", "--epochs=1"),
        *("--hidden_size=8", "--n_heads=2", "--MAX_ITEM_LIST_LENGTH=8", "--show_progress=False"),
        *(f"--checkpoint_dir={root}", "--tensorboard=False", "--train_batch_size=64"),
        *("--metrics=[NDCG]", "--topk=[5]", "--valid_metric=NDCG@5"),
    ]


@pytest.fixture(scope="module")
def saved(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a finished run `run`, and beside it an unfinished one, `half`."""
    root = tmp_path_factory.mktemp("saved")
    words = ["--model=SASRec", *_shared(tiny_path, root), f"--output={root / 'run'}"]
    assert main(words) == 0
    evaluate_run(root / "run", {"mask_history": True})
    time_inference(root / "run", {})
    shutil.copytree(root / "run", root / "half")
    (root / "half/result.json").unlink()
    return root


def _commands(data_path: Path, root: Path) -> dict[str, list[str]]:
    shared = _shared(data_path, root)
    return {
        "run": ["--model=SASRec", *shared, f"--output={root / 'run'}"],
        "resume": ["--model=SASRec", *shared, f"--output={root / 'half'}"],
        "evaluate": ["evaluate", f"--run={root / 'run'}", "--mask_history=True"],
        "recommend": ["recommend", f"--run={root / 'run'}", "--users=all", "--k=1"],
    }


FILES = "result.json data.json config.yaml ranks.npz best.pt last.pt inference.json".split()


@pytest.mark.parametrize("name", FILES)
# The reader itself is tried with all damages below; here those that end in different places.
@pytest.mark.parametrize("damage", ["cut", "{}", "garbage", "folder", "link", "absent"])
def test_a_damaged_run_is_one_line_or_none(name, damage, saved, tiny_path, tmp_path, capsys):
    root = tmp_path / "saved"
    for command, words in _commands(tiny_path, root).items():
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(saved, root)
        path = root / ("half" if command == "resume" else "run") / name
        if not path.exists():
            continue
        DAMAGES[damage](path)
        capsys.readouterr()
        code = main(words)
        lines = capsys.readouterr().err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert (code, len(errors)) in ((0, 0), (2, 1)), (command, lines)
        if code == 2:
            assert name in errors[0], command
            assert "; " in errors[0] or "no finished run" in errors[0], command
            if damage in ("cut", "absent"):
                _follow(errors[0], path, words, capsys)


def _follow(error: str, path: Path, words: list[str], capsys) -> None:
    """The remedy works: done as it says, the command succeeds."""
    if "move it away" in error:
        if path.is_dir():
            path.rmdir()
        return
    if "remove it" in error:
        (path.parent / "result.json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    if words[0].startswith("--model") and "remove it" not in error:
        assert "--fresh" in error
        words = [*words, "--fresh"]
    if words[0].startswith("--model"):
        assert main(words) == 0, capsys.readouterr().err


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "absent"])
def test_a_damaged_evaluation_is_made_again(damage, saved, tmp_path):
    folder = shutil.copytree(saved / "run", tmp_path / "run")
    condition = {"mask_history": True}
    found = find_evaluation(folder, condition)
    assert found is not None
    for path in (found.path, found.path.with_suffix(".npz")):
        kept = path.read_bytes()
        DAMAGES[damage](path)
        assert find_evaluation(folder, condition) is None
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(kept)
    assert find_inference(folder, {}) is not None
    DAMAGES[damage](folder / "inference.json")
    assert find_inference(folder, {}) is None


@pytest.mark.parametrize("value", [None, True, "x", -1.5, [], {}, [1], [{}], {"a": "b"}], ids=str)
def test_a_result_is_whole_or_named(saved, tmp_path, value):
    """A key of another kind must not be met where it is used, far from the file."""
    result = json.loads((saved / "run/result.json").read_text())
    path = tmp_path / "result.json"
    for key in result:
        path.write_text(json.dumps({**result, key: value}))
        try:
            found = read_result(tmp_path)
        except UserError as error:
            message = str(error)
        else:
            message = ""
            metric_table([found])
        assert not message or re.match(rf"{path}: .*; remove it", message)


def test_a_damaged_run_is_a_row_of_a_comparison(tiny_path, tmp_path, capsys):
    words = ["compare", "--models=SASRec,GRU4Rec", *_shared(tiny_path, tmp_path)]
    words = [word for word in words if not word.startswith("--n_heads")]
    assert main(words) == 0
    damages = {"result.json": "cut", "config.yaml": "garbage", "data.json": "{}"}
    for name, damage in {**damages, "ranks.npz": "empty"}.items():
        (path,) = tmp_path.glob(f"GRU4Rec-*/{name}")
        kept = path.read_bytes()
        DAMAGES[damage](path)
        assert main(words) == 0, capsys.readouterr().err
        (runs,) = tmp_path.glob("compare-*/tables/runs.csv")
        with runs.open(encoding="utf-8") as file:
            (reason,) = [row["failure"] for row in csv.DictReader(file) if row["failure"]]
        assert name in reason
        path.write_bytes(kept)


SETTINGS = {"model": "SASRec", "dataset": "tiny", "config": {}, "search": {}, "command": ""}


@pytest.mark.parametrize("name", ["sweep.json", "ledger.jsonl"])
@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "absent"])
def test_a_damaged_search_is_one_line(name, damage, tiny_path, tmp_path, capsys):
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps(SETTINGS))
    (folder / ".recbole_intent").write_text('{"kind": "search", "version": "0"}')
    (folder / "ledger.jsonl").write_text('{"event": "begin", "trial": 0, "params": {}}\n' * 2)
    DAMAGES[damage](folder / name)
    if name == "sweep.json":
        words = ["tune", "--model=SASRec", *_shared(tiny_path, tmp_path), f"--output={folder}"]
        assert main([*words, "--trials=1", "--resume"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert name in line
    elif damage not in ("empty", "cut", "[]", "{}", "nested"):
        with pytest.raises(UserError, match=r"ledger\.jsonl"):
            Ledger(folder / name).trials()


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_reader_names_file_and_remedy(damage, tmp_path):
    readers = {
        "a.json": lambda path: read_json(path, {"a": int}, "do this"),
        "a.yaml": lambda path: read_mapping(path, {"a": int}, "do this"),
        "a.npz": lambda path: read_npz(path, ("a",), "do this"),
    }
    for name, read in readers.items():
        path = tmp_path / name
        path.write_text('{"a": 1}')
        DAMAGES[damage](path)
        with pytest.raises(UserError, match=rf"{name}.*; (do this|move it away)$"):
            read(path)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({"a": True}, {"a": int}),
        ({"a": 1.5}, {"a": int}),
        ({"a": None}, {"a": str}),
        ({}, {"b": dict}),
    ],
)
def test_a_value_of_another_type_is_named(values, keys):
    with pytest.raises(UserError, match=r"f: [ab] is (missing|of the wrong type) .*; remedy"):
        checked("f", values, keys, "remedy")


def test_an_unfinished_last_line_is_none(tmp_path):
    (tmp_path / "a").write_text('{"a": 1}\n{"b"')
    assert list(read_json_lines(tmp_path / "a")) == [(1, {"a": 1})]
