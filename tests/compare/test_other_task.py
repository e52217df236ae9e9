"""Finished runs asked another way: among candidates, with real runs and real processes."""

import json

import numpy as np
import pandas as pd
import pytest

from recbole_intent.cli.main import main
from recbole_intent.compare.compare import compare
from recbole_intent.compare.entries import Entry
from recbole_intent.compare.request import Request
from recbole_intent.runs.evaluate import evaluate_run, find_evaluation, time_inference
from recbole_intent.runs.experiment import run
from recbole_intent.trainer.base import BEST
from recbole_intent.utils.errors import UserError

ENTRIES = [
    Entry("SASRec", "SASRec", {"hidden_size": 8, "MAX_ITEM_LIST_LENGTH": 8}),
    Entry("BPR", "BPR", {"embedding_size": 8}),
]


@pytest.fixture(scope="module")
def shared(tiny_path, tmp_path_factory):
    return {
        "data_path": str(tiny_path),
        "checkpoint_dir": str(tmp_path_factory.mktemp("saved")),
        "device": "cpu",
        "epochs": 1,
        "tensorboard": False,
    }


@pytest.fixture(scope="module")
def folders(shared):
    """Runs that ranked all items; their configuration names 99 candidates."""
    found = {}
    for entry in ENTRIES:
        given = {**shared, **entry.values, "seed": 1, "show_progress": False}
        found[entry.label] = run(entry.model, "tiny", overrides=given).folder
        time_inference(found[entry.label], {"device": "cpu"})
    return found


@pytest.fixture(scope="module")
def ask(shared, tmp_path_factory):
    """Compare the runs, asked among `n` candidates too."""

    def compare_among(n: int, entries=ENTRIES):
        overrides = {**shared, "n_candidates": n}
        output = str(tmp_path_factory.mktemp("output"))
        return compare(
            Request("tiny", entries, [1], overrides=overrides, tasks=["direct"], output=output)
        )

    return compare_among


def test_masked_too(shared, folders, tmp_path, capsys):
    """`--mask_history=both`: the runs of the comparison, ranked again without the histories."""
    words = [f"--{key}={value}" for key, value in shared.items()]
    words += ["--SASRec.hidden_size=8", "--SASRec.MAX_ITEM_LIST_LENGTH=8", "--BPR.embedding_size=8"]
    words += ["--models=SASRec,BPR", "--dataset=tiny", "--seeds=1", f"--output={tmp_path}"]
    assert main(["compare", "--mask_history=both", *words]) == 0
    said = capsys.readouterr().out
    assert "all items, history masked" in said
    masked = {name: evaluate_run(f, {"mask_history": True}).test for name, f in folders.items()}
    found = dict(pd.read_csv(tmp_path / "tables/test-masked.csv")[["model", "ndcg@10"]].to_numpy())
    assert found == {name: pytest.approx(test["ndcg@10"]) for name, test in masked.items()}
    assert main(["evaluate", f"--run={folders['SASRec']}", "--mask_history=both"]) == 0
    said = capsys.readouterr().out
    assert "| history not masked | history masked |" in said
    assert f"{masked['SASRec']['ndcg@10']:.4f}" in said
    with pytest.raises(UserError, match="--also=unmasked: the runs are made for it"):
        Request("tiny", ENTRIES, [1], tasks=["unmasked"])


def test_a_condition_of_a_configuration_file_is_not_asked_again(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("mask_history: True\ntask: direct\n")
    for task in ("masked", "direct"):
        with pytest.raises(UserError, match=f"--also={task}: the runs are made for it"):
            Request("tiny", ENTRIES, [1], config_files=[str(path)], tasks=[task])
    assert Request("tiny", ENTRIES, [1], config_files=[str(path)], tasks=["unmasked"])


def direct(n: int) -> dict:
    return {"task": "direct", "n_candidates": n, "candidates_seed": 2020}


def test_all_models_are_asked_about_the_same_candidates(ask, folders):
    evaluate_run(folders["SASRec"], direct(20))  # BPR is evaluated by a process of its own
    done = ask(20)
    other = done.others["direct"]
    assert set(other.results) == set(done.comparison.results) == {("SASRec", 1), ("BPR", 1)}
    for label, folder in folders.items():
        own = json.loads((folder / "result.json").read_text())
        assert done.comparison.results[label, 1] == own
        assert own["candidates"] is None
        found = find_evaluation(folder, direct(20))
        result = other.results[label, 1]
        assert result == {**own, "test": found.test, "candidates": found.candidates}
        assert result["candidates"] == other.candidates
        assert result["candidates"]["negatives"] == 20
        ranks, all_items = other.ranks[label, 1], done.comparison.ranks[label, 1]
        assert (ranks.rank <= 21).all()
        # Fewer items cannot put a target further behind.
        assert np.array_equal(ranks.target, all_items.target)
        assert (ranks.rank <= all_items.rank).all()
    assert other.inference_seconds == {}  # nobody asked for times
    table = done.tables["test-direct"]
    assert table.title == "Test metrics on tiny, 1 + 20 candidates"
    assert table.records[1]["ndcg@10"] == other.results["BPR", 1]["test"]["ndcg@10"]
    assert "The runs were not trained again" in table.notes[-1]
    report = (done.folder / "report.md").read_text()
    assert "# Comparison on tiny\n" in report  # the comparison is that of all items
    assert f"## {table.title}" in report
    assert table.title in (done.folder / "page.html").read_text()


def test_a_run_that_cannot_be_asked_is_a_row_with_its_reason(ask, folders):
    evaluate_run(folders["SASRec"], direct(10))
    best = folders["BPR"] / BEST
    content = best.read_bytes()
    best.unlink()
    try:
        done = ask(10)
    finally:
        best.write_bytes(content)
    other = done.others["direct"]
    assert set(other.results) == {("SASRec", 1)}
    assert set(done.comparison.results) == {("SASRec", 1), ("BPR", 1)}
    assert not done.comparison.failures
    assert BEST in other.failures["BPR", 1]
    assert any("BPR, seed 1, failed" in note for note in done.tables["test-direct"].notes)


def test_more_candidates_than_items_are_a_mistake(ask, folders):
    message = r"no run could be evaluated, direct task; BPR, seed 1: n_candidates: 39 are to be"
    with pytest.raises(UserError, match=message):
        ask(39, ENTRIES[1:])


def test_a_run_among_candidates_is_asked_about_all_items(shared):
    given = {**shared, "task": "direct", "n_candidates": 20}
    entry = ENTRIES[1]
    own = {**given, **entry.values, "seed": 1, "show_progress": False}
    folder = run(entry.model, "tiny", overrides=own).folder
    times = {}
    for condition in ({}, {"task": "next-item"}):
        times[len(condition)] = time_inference(folder, {"device": "cpu", **condition})
    evaluate_run(folder, {"task": "next-item"})
    done = compare(
        Request("tiny", [entry], [1], overrides=given, tasks=["next-item"], times_tasks=True)
    )
    other = done.others["next-item"]
    assert (done.comparison.ranked, other.ranked) == ("1 + 20 candidates", "all items")
    assert done.tables["test-next-item"].title == "Test metrics on tiny"
    for kept, comparison in ((times[0], done.comparison), (times[1], other)):
        assert comparison.inference_seconds == {"BPR": kept["seconds_per_1000_users"]}
    assert (times[0]["candidates"], times[1]["candidates"]) == (21, 40)
