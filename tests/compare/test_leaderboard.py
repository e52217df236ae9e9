"""The leaderboard of real runs: their own numbers, by protocol, and the runs that it leaves out."""

import numpy as np
import pytest

from recbole_intent.cli.main import main
from recbole_intent.compare.leaderboard import leaderboard
from recbole_intent.runs.evaluate import evaluate_run
from recbole_intent.runs.experiment import run
from recbole_intent.utils.errors import UserError


@pytest.fixture(scope="module")
def runs(tiny_path, tmp_path_factory):
    saved = tmp_path_factory.mktemp("saved")
    shared = {"data_path": str(tiny_path), "checkpoint_dir": str(saved), "epochs": 1}
    shared |= {"show_progress": False, "tensorboard": False, "embedding_size": 8}
    done = {
        (size, seed): run("BPR", "tiny", overrides={**shared, "learning_rate": rate, "seed": seed})
        for size, rate in (("usual", 0.001), ("fast", 0.01))
        for seed in (1, 2)
    }
    noise = {"ratio": 0.2, "kind": "replace", "where": "train"}
    of_sequences = {key: value for key, value in shared.items() if key != "embedding_size"}
    run("GRU4Rec", "tiny", overrides={**of_sequences, "noise": noise})
    return saved, done


def test_numbers_are_those_of_the_runs(runs, tmp_path, capsys):
    saved, done = runs
    masked = evaluate_run(done["fast", 1].folder, {"mask_history": True})
    assert main(["leaderboard", f"--runs={saved}", f"--output={tmp_path / 'board.md'}"]) == 0
    said = capsys.readouterr().out
    assert "tiny, leave-one-out, all items, history masked" in said
    text, page = ((tmp_path / f"board.{kind}").read_text() for kind in ("md", "html"))
    assert "GRU4Rec" not in text  # trained under noise
    assert "<table" in page
    masked_table, plain = leaderboard([saved], tmp_path / "again.md")
    assert [row["model"] for row in masked_table.records] == [
        "BPR (embedding_size: 8, learning_rate: 0.01)"
    ]
    assert masked_table.records[0]["ndcg@10"] == masked.test["ndcg@10"]
    rows = {row["model"]: row for row in plain.records}
    for label, size in (
        ("BPR (embedding_size: 8)", "usual"),
        ("BPR (embedding_size: 8, learning_rate: 0.01)", "fast"),
    ):
        of = [done[size, seed].result["test"]["recall@20"] for seed in (1, 2)]
        assert rows[label]["recall@20"] == np.mean(of)
        assert rows[label]["seeds"] == 2
        assert rows[label]["recall@20 half interval"] > 0


def test_no_runs(tmp_path):
    with pytest.raises(UserError, match="no finished run there"):
        leaderboard([tmp_path], tmp_path / "board.md")
