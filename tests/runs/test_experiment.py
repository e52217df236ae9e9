"""A run from configuration to result: killed and continued, reported, refused, locked."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from recbole_intent.evaluation.metrics import evaluate
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.runs.evaluate import evaluate_run
from recbole_intent.runs.experiment import inputs_fingerprint, run, run_folder
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import folder_lock
from recbole_intent.utils.parsing import read_yaml

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds until a test gives up on a process; nothing depends on its value


RUNNING = {
    "device": "cpu",
    "threads": 1,
    "show_progress": False,
    "tensorboard": False,
    "data_path": "not-there",  # ml-100k of RecBole's wheel
}


def _command(**options) -> list[str]:
    given = {**RUNNING, **options}
    words = [f"--{key}={value}" for key, value in given.items()]
    return [sys.executable, str(ROOT / "run_recbole_intent.py"), *words]


def _start(command: list[str], cwd: Path) -> subprocess.Popen:
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _wait_for(process: subprocess.Popen, pattern: str, folder: Path) -> Path:
    """The first file of that pattern, or a failure with what the process said."""
    for _ in range(PATIENCE * 100):
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
        if process.poll() is not None:
            raise AssertionError(f"ended before {pattern}: {process.communicate()[1].decode()}")
        time.sleep(0.01)
    raise AssertionError(f"no {pattern} after {PATIENCE} s")


def _kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _finish(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _outcome(folder: Path) -> tuple[dict, np.ndarray]:
    result = json.loads((folder / "result.json").read_text())
    kept = {k: result[k] for k in ("valid", "test", "best_epoch", "epochs", "config_fingerprint")}
    kept["losses"] = [record["loss"] for record in result["history"]]
    ranks = Ranks.load(folder / "ranks.npz")
    return kept, np.stack([ranks.user, ranks.target, ranks.rank])


def _assert_same_outcome(folder: Path, other: Path) -> None:
    (mine, my_ranks), (theirs, their_ranks) = _outcome(folder), _outcome(other)
    assert mine == theirs
    np.testing.assert_array_equal(my_ranks, their_ranks)


# --- killed processes ------------------------------------------------------------------------


def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path):
    """Killed after its first epoch, after a later one, and at any moment; then run to its end."""
    options = {
        "epochs": 6,
        "learning_rate": 0.003,
        "hidden_size": 16,
        "inner_size": 16,
        "n_layers": 1,
        "MAX_ITEM_LIST_LENGTH": 20,
        "passes": 1,
        "windows": "strided",
        "stopping_step": 10,
    }
    options_of_both = {"model": "SASRec", "dataset": "ml-100k", **options}
    command = _command(**options_of_both, output=tmp_path / "killed")
    folder = tmp_path / "killed"

    process = _start(command, tmp_path)
    last = _wait_for(process, "last.pt", folder)
    process.send_signal(signal.SIGSTOP)  # still alive, and so the owner
    with pytest.raises(UserError, match=rf"another process \(pid {process.pid}\) is at work"):
        run("SASRec", "ml-100k", overrides={**RUNNING, **options}, output=folder)
    _kill(process)
    before = last.stat().st_mtime_ns
    assert not (folder / "result.json").exists()

    process = _start(command, tmp_path)
    for _ in range(PATIENCE * 100):
        if last.stat().st_mtime_ns != before or process.poll() is not None:
            break
        time.sleep(0.01)
    _kill(process)

    process = _start(command, tmp_path)
    time.sleep(random.uniform(0, 5))
    _kill(process)

    _finish(command, tmp_path)
    _finish(_command(**options_of_both, output=tmp_path / "whole"), tmp_path)
    _assert_same_outcome(folder, tmp_path / "whole")
    assert "continues after epoch" in (folder / "log").read_text()
    names = {path.name for path in folder.iterdir()}
    assert {name for name in names if not name.endswith(".tmp")} == {
        *("best.pt", "last.pt", "config.yaml", "data.json", "log"),
        *("result.json", "ranks.npz", ".recbole_intent"),
    }


def _igrsr(tiny_path: Path, checkpoints: Path, **options) -> list[str]:
    return _command(
        model="IGRSR",
        dataset="tiny",
        data_path=tiny_path,
        checkpoint_dir=checkpoints,
        hidden_size=16,
        inner_size=16,
        n_layers=1,
        MAX_ITEM_LIST_LENGTH=8,
        train_batch_size=64,
        **{"epochs": 3, "distiller_size": 8, "output": checkpoints / "run", **options},
    )


def test_igrsr_killed_while_its_distiller_learns_ends_as_an_undisturbed_one(tiny_path, tmp_path):
    options = {"epochs": 30, "stopping_step": 30, "distiller_size": 8, "icr_share": 0.5}
    command = _igrsr(tiny_path, tmp_path / "killed", **options)
    process = _start(command, tmp_path)
    last = _wait_for(process, "distillers/*/last.pt", tmp_path / "killed")
    _kill(process)
    assert not (last.parent / "done.json").exists()
    assert not (tmp_path / "killed/run/last.pt").exists()
    _finish(command, tmp_path)
    _finish(_igrsr(tiny_path, tmp_path / "whole", **options), tmp_path)
    _assert_same_outcome(tmp_path / "killed/run", tmp_path / "whole/run")
    a, b = (
        torch.load(tmp_path / f"{name}/run/best.pt")["state_dict"] for name in ("killed", "whole")
    )
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_two_igrsr_runs_at_once_share_one_distiller(tiny_path, tmp_path):
    commands = [
        _igrsr(tiny_path, tmp_path / "saved", icr_weight=weight, output=tmp_path / f"run{weight}")
        for weight in (0.1, 0.5)
    ]
    processes = [_start(command, tmp_path) for command in commands]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors.decode()
    logs = [(tmp_path / f"run{weight}/log").read_text() for weight in (0.1, 0.5)]
    assert sorted("pre-training a SASRec" in log for log in logs) == [False, True]
    assert sorted("reusing" in log for log in logs) == [False, True]
    assert len(list((tmp_path / "saved/distillers").iterdir())) == 1
    a, b = (torch.load(tmp_path / f"run{weight}/best.pt")["state_dict"] for weight in (0.1, 0.5))
    encoder = [key for key in a if key.startswith("distiller.encoder.")]
    assert encoder
    assert all(torch.equal(a[key], b[key]) for key in encoder)
    trained = torch.load(next((tmp_path / "saved/distillers").glob("*/best.pt")))["state_dict"]
    for key, value in trained.items():
        assert torch.equal(a[f"distiller.encoder.{key}"], value)


# --- in this process -------------------------------------------------------------------------


@pytest.fixture
def small(tiny_path: Path, tmp_path: Path):
    """Run a small SASRec on `tiny` in folders of this test."""

    def small_run(model: str = "SASRec", *, output=None, fresh=False, **options):
        given = {
            "data_path": str(tiny_path),
            "checkpoint_dir": str(tmp_path / "saved"),
            "device": "cpu",
            "epochs": 2,
            "hidden_size": 16,
            "MAX_ITEM_LIST_LENGTH": 8,
            "train_batch_size": 64,
            "show_progress": False,
            "tensorboard": False,
        }
        return run(model, "tiny", overrides={**given, **options}, output=output, fresh=fresh)

    return small_run


def test_a_run_leaves_what_it_promises(small):
    done = small(tensorboard=True)
    folder, result = done.folder, done.result
    assert not done.reported
    assert folder.name.startswith("SASRec-tiny-2020-")
    assert json.loads((folder / "result.json").read_text()) == result
    promised = (
        "model dataset seed valid test best_epoch epochs seconds peak_memory_mib "
        "data_fingerprint config_fingerprint versions commit"
    ).split()
    assert set(promised) <= result.keys()
    for part in ("valid", "test"):
        assert set(result[part]) == {
            f"{m}@{k}" for m in ("recall", "ndcg", "mrr") for k in (5, 10, 20)
        }
        assert all(type(value) is float for value in result[part].values())
    assert result["epochs"] == 2 == len(result["history"])
    assert 1 <= result["best_epoch"] <= 2
    assert result["seconds"] > 0
    assert result["peak_memory_mib"] > 0
    assert result["approximations"] == []
    assert result["processes"] == 1
    ranks = Ranks.load(folder / "ranks.npz")
    assert evaluate(ranks, ["NDCG"], [10])["ndcg@10"] == pytest.approx(result["test"]["ndcg@10"])
    assert len(ranks) == 60
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert written["learning_rate"] == 0.001
    assert written["hidden_size"] == 16
    assert "valid ndcg@10" in (folder / "log").read_text()
    assert list((folder / "tensorboard").iterdir())
    for name in ("best.pt", "last.pt"):
        torch.load(folder / name, weights_only=True)


def test_keys_of_the_direct_task_tell_runs_apart_only_there(small, tiny):
    names = {run_folder(tiny(task="next-item", n_candidates=n)).name for n in (5, 99)}
    assert names == {run_folder(tiny()).name}
    names |= {run_folder(tiny(task="direct", n_candidates=n)).name for n in (5, 99)}
    assert len(names) == 3
    done = small()
    assert (done.result["task"], done.result["candidates"]) == ("next-item", None)
    path = done.folder / "config.yaml"
    before = yaml.safe_load(path.read_text())
    for key in ("task", "n_candidates", "candidates_seed"):
        del before[key]  # as a run of before there were candidates
    path.write_text(yaml.safe_dump(before))
    assert small().reported


def test_a_direct_run_is_claimed_for_its_candidates(small):
    done = small(task="direct", n_candidates=20)
    assert done.result["task"] == "direct"
    assert done.result["candidates"]["negatives"] == 20
    with pytest.raises(UserError, match=r"n_candidates \(20, now 21\)"):
        small(task="direct", n_candidates=21, output=done.folder)


def test_a_model_whose_dataset_writes_keys_into_the_configuration_is_reported_too(small):
    options = {"n_heads": 1, "n_layers": 1, "inner_size": 16}
    first = small(model="BERT4Rec", **options)
    assert "MASK_INDEX" not in read_yaml(first.folder / "config.yaml")
    assert small(model="BERT4Rec", **options).reported
    evaluate_run(first.folder, {"mask_history": True})


def test_the_same_command_reports_and_fresh_begins_anew(small):
    first = small()
    stamp = (first.folder / "last.pt").stat().st_mtime_ns
    again = small()
    assert again.reported
    assert again.result == first.result
    assert (first.folder / "last.pt").stat().st_mtime_ns == stamp
    evaluate_run(first.folder, {"mask_history": True})
    (first.folder / ".last.pt.1.tmp").write_text("half, of a process that was killed")
    anew = small(fresh=True)
    assert not anew.reported
    assert not (first.folder / "evaluations").exists()
    assert not list(first.folder.glob(".*.tmp"))
    assert anew.folder == first.folder
    assert anew.result["test"] == first.result["test"]
    assert (first.folder / "last.pt").stat().st_mtime_ns != stamp


def test_where_it_runs_does_not_name_another_folder(small):
    """Device, threads, progress and evaluation batches change no result, so no folder either."""
    first = small()
    assert small(show_progress=True, eval_batch_size=7, threads=1).reported
    assert small(learning_rate=0.01).folder != first.folder
    assert small(seed=1).folder != first.folder


def test_a_folder_of_another_configuration_is_refused_with_the_keys(small, tmp_path):
    small(output=tmp_path / "mine")
    kept = (tmp_path / "mine/result.json").read_bytes()
    with pytest.raises(UserError, match=r"hidden_size \(16, now 32\).*n_layers \(2, now 1\)"):
        small(output=tmp_path / "mine", hidden_size=32, n_layers=1)
    assert (tmp_path / "mine/result.json").read_bytes() == kept
    small(output=tmp_path / "mine", hidden_size=32, fresh=True)


def test_a_folder_of_something_else_is_not_touched(small, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/config.yaml").write_text("colour: blue\n")
    for fresh in (False, True):
        with pytest.raises(UserError, match=r"config\.yaml: is not that of a run"):
            small(output=tmp_path / "project", fresh=fresh)
    assert (tmp_path / "project/config.yaml").read_text() == "colour: blue\n"


def test_changed_data_is_refused(small, tiny_path, tmp_path):
    shutil.copytree(tiny_path, tmp_path / "data")
    done = small(data_path=str(tmp_path / "data"))
    with (tmp_path / "data/tiny/tiny.inter").open("a") as file:
        file.write("u1\ti1\t99\n")
    with pytest.raises(UserError, match="have changed since"):
        evaluate_run(done.folder, {})
    for prepare in (lambda: None, (done.folder / "result.json").unlink):
        prepare()
        with pytest.raises(UserError, match="have changed since"):
            small(data_path=str(tmp_path / "data"))
    assert not small(data_path=str(tmp_path / "data"), fresh=True).reported


def test_a_locked_folder_is_refused(small, tmp_path):
    with (
        folder_lock(tmp_path / "mine"),
        pytest.raises(UserError, match="is at work in this folder"),
    ):
        small(output=tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())
    small(output=tmp_path / "mine")


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("SASRec", {"learner": "lion"}),
        ("SASRec", {"valid_metric": "NDCG@3"}),
        ("SASRec", {"data_path": "nowhere"}),
        ("SASRec", {"noise": {"ratio": 3}}),
        ("SASRec", {"eval_args": {"mode": "uni100"}}),
        ("SASRec", {"eval_args": {"order": "RO"}}),
        ("IGRSR", {"n_heads": 3}),
        ("IGRSR", {"p_mask": 2.0}),
        ("IGRSR", {"distiller_passes": 0}),
        ("IGRSR", {"fast_sequences": False}),
    ],
    ids=str,
)
def test_a_mistake_leaves_no_folder_behind(small, tmp_path, model, options):
    with pytest.raises(UserError):
        small(model, **options)
    assert not (tmp_path / "saved").exists()


def test_approximations_are_named(small):
    assert small(windows="strided", passes=1).result["approximations"] == ["windows: strided"]
    assert small(windows="strided").result["approximations"] == []  # rows are exact
    igrsr = small("IGRSR", windows="strided", epochs=1, distiller_size=8)
    assert igrsr.result["approximations"] == ["windows of the distiller's training: strided"]


def test_a_class_of_the_user_does_not_pass_for_one_of_the_table(small, tmp_path, monkeypatch):
    """A class called SASRec, in a module of the user, gets a folder of its own."""
    (tmp_path / "own_sasrec.py").write_text(
        "from recbole.model.sequential_recommender import SASRec as Base\n"
        "class SASRec(Base):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert small("own_sasrec:SASRec").folder != small().folder


def test_other_weights_at_lid_checkpoint_are_another_input(tiny, tmp_path):
    path = tmp_path / "weights.pt"
    config = tiny("IGRSR", lid_checkpoint=str(path))
    path.write_bytes(b"one")
    before = inputs_fingerprint(config)
    path.write_bytes(b"two")
    assert inputs_fingerprint(config) != before
    assert inputs_fingerprint(tiny("IGRSR")) == inputs_fingerprint(tiny("SASRec"))


COUNT_OPENS = """
import sys
opened = []
def count(event, arguments):
    if event == "open" and str(arguments[0]).endswith((".inter", ".item")):
        opened.append(str(arguments[0]).rpartition(".")[2])
sys.addaudithook(count)
from recbole_intent.cli.main import main
assert main(sys.argv[1:]) == 0
print(sorted(opened))
"""


def test_a_run_reads_its_files_once(tmp_path):
    """The .inter file is opened for its header, its hash and its rows, and not again."""
    words = "--model=Pop --dataset=ml-100k --epochs=1 --show_progress=False --tensorboard=False"
    done = subprocess.run(
        [sys.executable, "-c", COUNT_OPENS, *words.split(), f"--checkpoint_dir={tmp_path}"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "['inter', 'inter', 'inter', 'item']", done.stderr
