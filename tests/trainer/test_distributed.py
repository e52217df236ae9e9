"""Two processes of torchrun end as one does: weights, metrics, files, mistakes, kills."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from recbole_intent.cli.main import main
from recbole_intent.config.config import Config
from recbole_intent.data.loading.split import load_data
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.runs.experiment import build, run
from recbole_intent.trainer import distributed
from recbole_intent.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 300  # seconds until a test gives up on processes; nothing depends on its value

# 375 targets: the last batch has one row, fewer than there are processes. Three evaluation batches.
SMALL = {
    "device": "cpu",
    "threads": 1,
    "epochs": 2,
    "learning_rate": 0.01,
    "MAX_ITEM_LIST_LENGTH": 8,
    "train_batch_size": 34,
    "eval_batch_size": 25,
    "show_progress": False,
    "tensorboard": False,
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}
NARROW = {"hidden_size": 16, "inner_size": 16, **NO_DROPOUT}
INTENTS = {**NARROW, "distiller_size": 8, "distiller_dropout_prob": 0.0, "p_mask": 0.0}

# Without dropout and masks, which each process draws for itself.
CASES = {
    "rows": ("SASRec", NARROW),
    "sgd": ("SASRec", {**NARROW, "learner": "sgd", "learning_rate": 0.5}),
    "clipped": ("SASRec", {**NARROW, "clip_grad_norm": {"max_norm": 0.1}}),
    "schedule": (
        "SASRec",
        {
            **NARROW,
            "learner": "adamw",
            "weight_decay": 0.1,
            "lr_schedule": "cosine",
            "warmup_epochs": 0.5,
            "ema_decay": 0.9,
            "label_smoothing": 0.1,
        },
    ),
    "shared passes": ("SASRec", {**NARROW, "passes": 2}),
    "sampled pairs": ("SASRec", {**NARROW, "loss_type": "BPR"}),
    "RecBole's loader": ("SASRec", {**NARROW, "fast_sequences": False}),
    "users and items": ("BPR", {"embedding_size": 16}),
    "sampled points": ("NeuMF", {"dropout_prob": 0.0, "learner": "sgd"}),
    "contrast": ("IGRSR", INTENTS),
    "contrast of passes": (
        "IGRSR",
        {**INTENTS, "intent_scope": "causal", "passes": 2, "icr_main": "separate"},
    ),
    # Without negatives, which each process draws for itself, and with open gates: untrained
    # probabilities are 0.5 but for rounding, which would open one gate and close another.
    "enriched labels": (
        "VELI4SBR",
        {
            **NARROW,
            "loss_type": "CE",
            "enrich_every": 2,
            "intent_threshold": 0.0,
            "weight_decay": 0.0,
        },
    ),
}

_WORKER = """
import json, sys
from recbole_intent.runs.experiment import run
for model, options, output in json.load(open(sys.argv[1])):
    done = run(model, "tiny", overrides=options, output=output)
    assert done.result["processes"] == 2
    again = run(model, "tiny", overrides=options, output=output)
    assert again.reported and again.result == done.result
"""


def _torchrun(*words: str | Path) -> list[str]:
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2")
    return [sys.executable, *launcher, *map(str, words)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _finish(command: list[str], cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=cwd, env=_environment(), capture_output=True, text=True, timeout=PATIENCE
    )


def _command(tiny_path: Path, output: Path, model: str = "SASRec", **options) -> list[str]:
    given = {**SMALL, "data_path": tiny_path, "checkpoint_dir": output.parent, **options}
    words = [f"--{key}={value}" for key, value in given.items()]
    script = ROOT / "run_recbole_intent.py"
    return _torchrun(script, f"--model={model}", "--dataset=tiny", f"--output={output}", *words)


@pytest.fixture(scope="module")
def trained(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of all cases, by one process and by two: `<case>-1`, `<case>-2`."""
    folder = tmp_path_factory.mktemp("distributed")
    common = {**SMALL, "data_path": str(tiny_path)}
    jobs = []
    for name, (model, options) in CASES.items():
        for n in (1, 2):
            saved = {"checkpoint_dir": str(folder / f"saved-{n}")}
            job = (model, {**common, **saved, **options}, str(folder / f"{name}-{n}"))
            if n == 1:
                run(job[0], "tiny", overrides=job[1], output=job[2])
            else:
                jobs.append(job)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    (folder / "worker.py").write_text(_WORKER)
    done = _finish(_torchrun(folder / "worker.py", folder / "jobs.json"), folder)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return folder


def _results(trained: Path, case: str) -> list[dict]:
    return [json.loads((trained / f"{case}-{n}/result.json").read_text()) for n in (1, 2)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_end_with_the_weights_of_one(trained, case):
    one, two = (torch.load(trained / f"{case}-{n}/last.pt")["state_dict"] for n in (1, 2))
    assert one.keys() == two.keys()
    for name, weight in one.items():
        # A softmax does not see the bias of keys: its gradient is rounding noise, which Adam
        # makes as large as any other.
        is_noise = "key" in name and name.endswith("bias")
        is_half = weight.dtype == torch.float16  # labels: the next number may be the nearest one
        tolerance = 1e-3 if is_noise or is_half else 5e-5
        torch.testing.assert_close(two[name], weight, atol=tolerance, rtol=1e-4, msg=name)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_metrics_of_one(trained, case):
    one, two = _results(trained, case)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["test"] == pytest.approx(one["test"], abs=1e-6)
    assert two["best_epoch"] == one["best_epoch"]
    assert two["config_fingerprint"] == one["config_fingerprint"]
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], abs=1e-5)
        assert theirs["valid"] == pytest.approx(mine["valid"], abs=1e-6)
    ranks = [Ranks.load(trained / f"{case}-{n}/ranks.npz") for n in (1, 2)]
    for part in ("user", "target", "rank"):
        np.testing.assert_array_equal(getattr(ranks[0], part), getattr(ranks[1], part))


def test_the_cases_hold_what_they_are_for(trained, tiny_path):
    """Batches of one row, of odd sizes, and a last evaluation batch that one process has alone."""
    made = Config("SASRec", "tiny", config_dict={**SMALL, **NARROW, "data_path": str(tiny_path)})
    data = load_data(made)
    sizes = [len(batch) for batch in data.train]
    assert any(size % 2 for size in sizes)
    assert len(data.valid) == 3
    assert min(sizes) == 1


def test_only_the_main_process_writes(trained):
    """One of each file, one log, and no lock is left behind."""
    for n in (1, 2):
        names = {path.name for path in (trained / f"rows-{n}").iterdir()}
        assert names == {
            *("best.pt", "last.pt", "config.yaml", "data.json", "log"),
            *("result.json", "ranks.npz", ".recbole_intent"),
        }
    log = (trained / "rows-2/log").read_text()
    assert log.count("train 1/2") == 1
    assert ", 2 processes" in log
    assert len(list((trained / "saved-2/distillers").iterdir())) == 1


# --- mistakes and kills ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden_size": 3}, "error: --hiden_size: unknown key"),  # in both, before they meet
        ({"learning_rate": 1e30}, "error: "),  # in the middle, where one waits for the other
    ],
    ids=["key", "diverged"],
)
def test_a_mistake_is_told_once(tiny_path, tmp_path, options, message):
    done = _finish(_command(tiny_path, tmp_path / "run", **options), tmp_path)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(message)
    assert "exitcode  : 2" in done.stderr  # torchrun's summary of the process that failed
    assert 'run_recbole_intent.py", line' not in done.stderr  # no traceback of ours


def test_a_killed_process_ends_all_and_the_same_command_goes_on(tiny_path, tmp_path):
    options = {**NARROW, "epochs": 12, "stopping_step": 12, "learner": "sgd", "learning_rate": 0.1}
    command = _command(tiny_path, tmp_path / "run", **options)
    process = subprocess.Popen(
        command, cwd=tmp_path, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    last = tmp_path / "run/last.pt"
    for _ in range(PATIENCE * 100):
        if last.is_file() or process.poll() is not None:
            break
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1].decode()
    workers = [child.pid for child in psutil.Process(process.pid).children()]
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert not (tmp_path / "run/result.json").exists()
    assert not any(psutil.pid_exists(pid) for pid in workers)

    done = _finish(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "continues after epoch" in (tmp_path / "run/log").read_text()
    assert done.stdout.count("results: ") == 1
    alone = {**SMALL, **options, "data_path": str(tiny_path)}
    run("SASRec", "tiny", overrides=alone, output=tmp_path / "alone")
    one, two = (torch.load(tmp_path / name / "last.pt") for name in ("alone", "run"))
    assert two["next_epoch"] == 12
    for name, weight in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], weight, atol=1e-5, rtol=1e-4)


# --- in this process -------------------------------------------------------------------------


def test_without_torchrun_nothing_happens(tiny):
    config = tiny()
    assert not distributed.is_torchrun()
    distributed.join(config)
    assert (distributed.count(), distributed.rank(), distributed.is_main()) == (1, 0, True)
    assert distributed.on_main(lambda: 3) == 3
    assert distributed.gather(5) == [5]
    split, batch = distributed.BatchSplit(torch.device("cpu")), object()
    assert split.take(batch) is batch
    parts = (torch.ones(()),)
    assert split.weigh(parts, (4,)) is parts
    state = torch.get_rng_state()
    distributed.seed_own(7)
    assert torch.equal(torch.get_rng_state(), state)
    assert not distributed.was_told()


@pytest.mark.parametrize(
    ("device", "n_gpus", "message"),
    [("cuda:1", 2, "each process its own"), ("cuda", 1, "has 1 GPUs"), ("meta", 0, "cpu or cuda")],
)
def test_devices_that_cannot_be_shared_out_are_named(tiny, monkeypatch, device, n_gpus, message):
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    config = tiny()
    config["device"] = torch.device(device)
    with pytest.raises(UserError, match=message):
        distributed.join(config)


def test_machines_without_a_shared_folder_are_named(monkeypatch):
    monkeypatch.setattr(distributed, "gather", lambda value: [3, value])
    distributed.agree(3, "epochs done")
    with pytest.raises(UserError, match="epochs done: not the same in all processes"):
        distributed.agree(0, "epochs done")


def test_a_model_whose_loss_couples_rows_is_refused(tiny, monkeypatch):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    with pytest.raises(UserError, match="LightGCN: not known to be trained alike by several"):
        build(tiny("LightGCN"))


def test_other_commands_are_for_one_process(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["prepare", "--dataset=x"]) == 2
    assert "error: prepare: is for one process" in capsys.readouterr().err
