"""The leaderboard of real runs: their own numbers, by protocol, and the runs that it leaves out."""

import json
import shutil

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
    masked = evaluate_run(done["fast", 1].folder, {"mask_history": True, "threads": 1})
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


def test_unusable_arguments(tmp_path):
    with pytest.raises(UserError, match="no finished run there"):
        leaderboard([tmp_path], tmp_path / "board.md")
    with pytest.raises(UserError, match="no such folder"):
        leaderboard([tmp_path, tmp_path / "absent"], tmp_path / "board.md")
    for output in ("", tmp_path / "board.html"):
        with pytest.raises(UserError, match="name the Markdown file"):
            leaderboard([tmp_path], output)
    assert not list(tmp_path.iterdir())


def test_damaged_runs_are_left_out_and_old_or_foreign_ones_shown(runs, tmp_path, caplog):
    """One unusable run does not cost the table of the others."""
    source = runs[1]["usual", 1].folder

    def copied(name: str, **changes) -> None:
        folder = shutil.copytree(source, tmp_path / "saved" / name)
        shutil.rmtree(folder / "evaluations", ignore_errors=True)
        result = json.loads((folder / "result.json").read_text()) | {"history": [], **changes}
        (folder / "result.json").write_text(json.dumps({**result, "valid": result["test"]}))

    copied("no-ranks")
    (tmp_path / "saved/no-ranks/ranks.npz").unlink()
    copied("damaged", test={"recall@10": "much"})
    copied("old", split=None)  # of a version that did not store it
    lists = {"itemcoverage@10": 0.5, "mine@10": 0.25, "ndcg@10": 0.125}
    copied("of-lists", test=lists, dataset="a|b <script>")
    copied("of-all", test={"itemcoverage@10": 0.5, "mine@10": 0.25}, dataset="lists")
    copied("gone", seed=5)
    config = tmp_path / "saved/gone/config.yaml"
    config.write_text(config.read_text().replace("model: BPR\n", "model: absent.module:Model\n"))
    tables = leaderboard([tmp_path / "saved"], tmp_path / "board.md")
    assert "ranks.npz" in caplog.text
    assert "recall@10" in caplog.text
    rows = {table.title.partition(",")[0]: table.records for table in tables}
    assert rows["a|b <script>"][0]["ndcg@10 half interval"] > 0
    assert "recall@10" not in rows["a|b <script>"][0]
    assert rows["lists"][0]["itemcoverage@10"] == 0.5
    assert "itemcoverage@10 half interval" not in rows["lists"][0]
    of_tiny = [table for table in tables if table.title.startswith("tiny")]
    assert {table.title for table in of_tiny} == {
        "tiny, leave-one-out, all items, history not masked"
    }
    labels = [row["model"] for table in of_tiny for row in table.records]
    assert sum(label.startswith("absent.module:Model (configuration: ") for label in labels) == 1
    assert labels.count("BPR (embedding_size: 8)") == 1
    text = (tmp_path / "board.md").read_text()
    assert "<script>" not in text
