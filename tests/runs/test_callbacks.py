"""Callbacks hear of every event, change no number, and are named when they fail."""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_intent.runs import trackers
from recbole_intent.runs.ask import run
from recbole_intent.runs.experiment import build
from recbole_intent.trainer.callbacks import HOOKS, Callbacks, paths_of
from recbole_intent.utils.errors import UserError

FEW = {"epochs": 2, "hidden_size": 8, "inner_size": 8, "metrics": ["NDCG"], "topk": [10]}


class Diary:
    """Notes all events, spoils what it gets, and draws random numbers."""

    def __init__(self):
        self.events = []

    def __getattr__(self, name):
        if name not in HOOKS:
            raise AttributeError(name)

        def note(info):
            self.events.append((name, json.loads(json.dumps(info))))
            info.clear()
            random.random(), np.random.random(), torch.rand(3)  # noqa: NPY002

        return note

    def __dir__(self):
        return [*super().__dir__(), *HOOKS]

    def of(self, hook):
        return [info for name, info in self.events if name == hook]


class Stop:
    """Fails at the end of the second epoch."""

    def on_epoch_end(self, epoch):
        if epoch["epoch"] == 2:
            raise RuntimeError("no\nroom")


@pytest.fixture
def go(tiny_path, tmp_path):
    """Run SASRec on `tiny` in a folder of this name."""
    keys = {"data_path": str(tiny_path), "device": "cpu", "MAX_ITEM_LIST_LENGTH": 8}
    keys |= {"train_batch_size": 64, "tensorboard": False, "show_progress": False, **FEW}

    def start(name, callbacks=(), **more):
        return run("SASRec", "tiny", output=tmp_path / name, callbacks=callbacks, **keys | more)

    return start


def test_events_and_the_same_numbers_even_when_resumed(go, tmp_path):
    diary, plain = Diary(), go("plain", epochs=3)
    with pytest.raises(UserError, match=r"^callback Stop: on_epoch_end failed: RuntimeError: no r"):
        go("heard", [diary, Stop()], epochs=3)
    assert "callback Stop" in diary.of("on_run_end")[0]["error"]
    assert diary.of("on_run_end")[0]["result"] is None
    done = go("heard", [diary], epochs=3)
    assert done.metrics.equals(plain.metrics)
    for file in ("last.pt", "best.pt"):
        a, b = (torch.load(tmp_path / name / file)["state_dict"] for name in ("plain", "heard"))
        assert all(torch.equal(a[key], b[key]) for key in a)

    starts = diary.of("on_run_start")
    assert [start["is_resumed"] for start in starts] == [False, True]
    assert starts[0]["model"] == "SASRec"
    epochs = diary.of("on_epoch_end")
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert epochs[2]["valid"] == done.result["history"][2]["valid"]
    batches = diary.of("on_batch_end")
    assert len(batches) == 3 * batches[0]["batches"]
    mean = np.mean([b["loss"]["loss"] for b in batches if b["epoch"] == 3])
    assert mean == pytest.approx(epochs[2]["loss"]["loss"], rel=1e-5)
    heard = [(e["split"], e["metrics"]) for e in diary.of("on_evaluation_end")]
    assert heard[-1] == ("test", done.result["test"])
    assert [split for split, _ in heard] == ["valid"] * 3 + ["test"]
    assert diary.of("on_run_end")[1]["result"] == done.result
    assert diary.events[-1][0] == "on_run_end"
    count = len(diary.events)
    go("heard", [diary], epochs=3)  # only read
    assert len(diary.events) == count


def test_without_a_listener_no_loss_is_read(tiny):
    trainer, _ = build(tiny())
    assert not trainer.callbacks.listens("on_batch_end")
    assert Callbacks([Diary()]).listens("on_batch_end")
    assert not Callbacks([Stop()]).listens("on_batch_end")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (object(), "object: has none of the hooks on_run_start, on_batch_end"),
        (type("Keras", (), {"on_train_begin": print})(), "Keras: on_train_begin is none of the h"),
        (Stop, "Stop is a class; give an object, Stop()"),
        ("json:Nothing", "'json:Nothing': not a class package.module:Class"),
    ],
    ids=["object", "Keras", "class", "path"],
)
def test_what_is_no_callback(given, message):
    with pytest.raises(UserError) as refused:
        Callbacks([given])
    assert message in str(refused.value)


def test_processes_take_paths():
    here = f"{__name__}:Stop"
    assert paths_of([here]) == [here]
    assert paths_of(here) == [here]
    with pytest.raises(UserError, match=r"Stop: trainings run in processes .* 'package.module:Cl"):
        paths_of([Stop()])


def test_mlflow_keeps_the_run_in_its_files(go, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    keys = {"log_mlflow": True, "mlflow_experiment": "intents", "epochs": 3}
    with pytest.raises(UserError, match="callback Stop"):
        go("run", [Stop()], **keys)
    client = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())
    place = client.get_experiment_by_name("intents").experiment_id
    (run_there,) = client.search_runs([place])
    assert run_there.info.status == "FAILED"
    done = go("run", **keys)
    (run_there,) = client.search_runs([place])  # it went on in the same one
    assert run_there.info.status == "FINISHED"
    assert run_there.data.params["hidden_size"] == "8"
    assert run_there.data.metrics["test/ndcg_at_10"] == done.result["test"]["ndcg@10"]
    curve = client.get_metric_history(run_there.info.run_id, "valid/ndcg_at_10")
    assert {m.step: m.value for m in curve} == {
        record["epoch"] + 1: record["valid"]["ndcg@10"] for record in done.result["history"]
    }


def test_wandb_offline(go, tmp_path, monkeypatch):
    for name, value in {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    done = go("run", log_wandb=True, wandb_project="intents")
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (kept,) = folder.glob("*.wandb")
    known = json.loads((Path(done.folder) / trackers.FILE).read_text())["wandb"]
    assert folder.name.endswith(known)
    content = kept.read_bytes()
    assert all(name in content for name in (b"valid/ndcg@10", b"test/ndcg@10", b"hidden_size"))


def test_a_missing_tracker_names_its_extra(go, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"log_wandb: needs wandb: pip install 'recbole_intent\[w"):
        go("run", log_wandb=True)
    assert not (tmp_path / "run").exists()
