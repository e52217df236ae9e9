"""A comparison from request to tables, with real runs and real processes."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbole_intent.compare.compare import Outcome, compare, report
from recbole_intent.compare.entries import Entry
from recbole_intent.compare.gather import check_aligned, check_candidates, training_counts
from recbole_intent.compare.request import Request
from recbole_intent.data.loading.split import load_data
from recbole_intent.evaluation.metrics import user_values
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.plotting.tables import Table
from recbole_intent.runs.evaluate import evaluate_run, time_inference
from recbole_intent.runs.experiment import run
from recbole_intent.utils.errors import UserError

BROKEN = """
from recbole.model.sequential_recommender import SASRec as Base

class SASRec(Base):
    def calculate_loss(self, interaction):
        raise RuntimeError("this model is broken")
"""
OWN = {"hidden_size": 16, "MAX_ITEM_LIST_LENGTH": 8}
ENTRIES = [
    Entry("BPR", "BPR"),
    Entry("SASRec", "SASRec", OWN),
    Entry("one layer", "SASRec", {**OWN, "n_layers": 1}),
    Entry("broken", "broken_model:SASRec", OWN),
]


@pytest.fixture(scope="module")
def shared(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory):
    """Values for all models; most runs are there already, as after a comparison that was killed."""
    shared = {
        "data_path": str(tiny_path),
        "checkpoint_dir": str(tmp_path_factory.mktemp("saved")),
        "device": "cpu",
        "epochs": 2,
        "train_batch_size": 64,
        "tensorboard": False,
    }
    for entry in ENTRIES[:3]:
        for seed in (1, 2) if entry.label != "BPR" else (1,):
            given = {**shared, **entry.values, "seed": seed, "show_progress": False}
            done = run(entry.model, "tiny", overrides=given)
            if seed == 1 and entry.label != "BPR":
                time_inference(done.folder, {"device": "cpu"})
            if entry.label == "one layer":
                evaluate_run(done.folder, {"noise": {"kind": "delete", "ratio": 0.5}})
    return shared


@pytest.fixture(scope="module")
def request_of(shared):
    """Make a request: `request_of(ENTRIES, seeds=[1, 2])`."""

    def make(entries, seeds=(1, 2), **changes) -> Request:
        overrides = {**shared, **changes.pop("overrides", {})}
        return Request("tiny", entries, seeds, overrides=overrides, **changes)

    return make


@pytest.fixture(scope="module")
def done(request_of, tmp_path_factory) -> Outcome:
    folder = tmp_path_factory.mktemp("models")
    (folder / "broken_model.py").write_text(BROKEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        return compare(
            request_of(
                ENTRIES,
                reference="SASRec",
                noise=[("delete", 0.5)],
                workers=2,
                command=["compare", "--models=…"],
            )
        )


def test_every_run_is_a_result_or_a_reason(done):
    comparison = done.comparison
    keys = {(entry.label, seed) for entry in ENTRIES for seed in (1, 2)}
    assert set(comparison.results) | set(comparison.failures) == keys
    assert comparison.failures == {
        ("broken", seed): "RuntimeError: this model is broken" for seed in (1, 2)
    }
    assert set(comparison.ranks) == set(comparison.results)
    assert comparison.reference == "SASRec"


def test_ranks_are_aligned_and_counted_as_the_results_say(done):
    comparison = done.comparison
    first = comparison.ranks["BPR", 1]
    for key, ranks in comparison.ranks.items():
        assert np.array_equal(ranks.user, first.user)
        assert np.array_equal(ranks.target, first.target)
        values = user_values(ranks, comparison.metrics, by_target=key[0] != "BPR")
        test = comparison.results[key]["test"]
        assert values.mean(axis=0) == pytest.approx([test[m] for m in comparison.metrics])


def test_lengths_and_popularity_are_those_of_the_training_split(done, tiny_path):
    """Counted by hand: all interactions of a user but the last two."""
    rows = [line.split("\t") for line in (tiny_path / "tiny/tiny.inter").read_text().split("\n")]
    users: dict[str, list[str]] = {}
    for user, item, *_ in rows[1:-1]:
        users.setdefault(user, []).append(item)
    train = {user: items[:-2] for user, items in users.items()}
    popularity = {
        item: sum(items.count(item) for items in train.values())
        for item in {row[1] for row in rows[1:-1]}
    }
    comparison = done.comparison
    assert sorted(comparison.history_length) == sorted(len(items) for items in train.values())
    expected = sorted(popularity[items[-1]] for items in users.values())
    assert sorted(comparison.item_popularity) == expected


def test_the_length_of_a_tested_session_is_its_own(walks):
    """It has no training interactions; what it holds before its target is its history."""
    made = walks()
    test = load_data(made).test.dataset.inter_feat
    users, targets, lengths = (test[name].numpy() for name in ("user_id", "item_id", "item_length"))
    ranks = Ranks(users, targets, np.ones(len(users)))
    of_session, of_item = training_counts(made, ranks)
    np.testing.assert_array_equal(of_session, lengths[np.argsort(users)])
    assert of_item.min() > 0  # training has every item


def test_what_is_left_in_the_folder(done):
    folder = done.folder
    assert folder.name.startswith("compare-tiny-")
    names = {path.stem for path in (folder / "tables").iterdir()}
    assert names == set(done.tables) >= {"test", "gain", "noise", "cost", "runs", "wins"}
    assert {"significance-best", "significance-reference-seeds"} <= names
    report = (folder / "report.md").read_text()
    assert "recbole_intent compare" in report
    for table in done.tables.values():
        assert table.title in report
    page = (folder / "page.html").read_text()
    assert all(entry.label in page for entry in ENTRIES)
    assert list(folder.glob("*.png"))
    with (folder / "tables/runs.csv").open() as file:
        runs = list(csv.DictReader(file))
    assert len(runs) == 8
    for row in runs:
        is_there = (Path(row["folder"]) / "result.json").is_file()
        assert is_there == (row["failure"] == "")
    logs = (folder / "logs/train_broken_seed_1.txt").read_text()
    assert "Traceback" in logs


def test_noise_is_of_all_models_that_read_histories(done):
    comparison = done.comparison
    assert set(comparison.noise) == {(e.label, s) for e in ENTRIES[1:3] for s in (1, 2)}
    for found in comparison.noise.values():
        assert set(found) == {("delete", 0.5)}
    assert any("BPR reads no histories" in note for note in done.tables["noise"].notes)


def test_inference_is_measured_once(done):
    seconds = done.comparison.inference_seconds
    assert set(seconds) == {"BPR", "SASRec", "one layer"}
    assert all(value > 0 for value in seconds.values())
    folder = next(done.folder.parent.glob("BPR-tiny-1-*"))
    kept = json.loads((folder / "inference.json").read_text())
    assert kept["seconds_per_1000_users"] == seconds["BPR"]
    assert kept["candidates"] == 40


def test_the_same_request_trains_nothing(done, request_of, monkeypatch):
    """What was finished before is read again: no process is started."""

    def refuse(jobs, *_):
        assert not jobs
        return {}

    monkeypatch.setattr("recbole_intent.compare.compare.run_jobs", refuse)
    again = compare(request_of(ENTRIES[:3], reference="SASRec"))
    for key, result in again.comparison.results.items():
        assert result == done.comparison.results[key]
    assert again.comparison.inference_seconds == done.comparison.inference_seconds
    assert again.folder != done.folder  # not the same labels
    # The same configuration under two labels is one run, and does not differ from itself.
    twins = compare(request_of([ENTRIES[1], Entry("twin", "SASRec", OWN)], seeds=[1]))
    assert twins.comparison.reference == "SASRec"
    (row,) = {tuple(row[3:7]) for row in twins.tables["significance-best"].rows}
    assert [getattr(cell, "text", cell) for cell in row][2:] == ["1.0000", "1.0000"]


@pytest.mark.parametrize(
    ("entries", "changes", "message"),
    [
        (ENTRIES[:1], {"reference": "SASRec"}, "--reference=SASRec: not among BPR"),
        (ENTRIES[:1], {"seeds": []}, "--seeds"),
        (ENTRIES[:1], {"seeds": [1, 1]}, "--seeds"),
        (ENTRIES[:1], {"workers": 0}, "--workers=0"),
        ([Entry("mine", "SASRecc")], {}, "mine: --model=SASRecc: no such model; nearest: SASRec"),
        ([Entry("mine", "BPR", {"n_layers": 2})], {}, "mine: --n_layers: unknown key"),
        (ENTRIES[:1], {"overrides": {"data_path": "nowhere"}}, "tiny"),
        (ENTRIES[:1], {"overrides": {"topk": 0}}, "no run succeeded|topk"),
    ],
    ids=str,
)
def test_mistakes_are_named_before_anything_is_trained(
    request_of, tmp_path, entries, changes, message
):
    saved = tmp_path / "saved"
    overrides = {"checkpoint_dir": str(saved), **changes.pop("overrides", {})}
    with pytest.raises(UserError, match=message):
        compare(request_of(entries, overrides=overrides, **changes))
    assert not list(saved.glob("*-tiny-1-*"))


def test_the_direct_task_ranks_the_same_candidates_with_every_model(request_of, shared, tmp_path):
    direct = {"task": "direct", "n_candidates": 20, "checkpoint_dir": str(tmp_path)}
    given = {**shared, **direct, "epochs": 1, "seed": 1, "show_progress": False}
    for entry in ENTRIES[:2]:
        done = run(entry.model, "tiny", overrides={**given, **entry.values})
        time_inference(done.folder, {"device": "cpu"})
    found = compare(request_of(ENTRIES[:2], seeds=[1], overrides={**direct, "epochs": 1}))
    assert not found.comparison.failures
    assert len(list((tmp_path / "candidates").iterdir())) == 1
    assert found.comparison.ranked == "1 + 20 candidates"
    assert all((ranks.rank <= 21).all() for ranks in found.comparison.ranks.values())
    drawn = found.comparison.results["BPR", 1]["candidates"]
    assert found.tables["test"].title == "Test metrics on tiny, 1 + 20 candidates"
    for name in ("report.md", "page.html"):
        text = (found.folder / name).read_text()
        assert "Comparison on tiny, 1 + 20 candidates" in text
        assert drawn["hash"][:10] in text
    kept = json.loads((done.folder / "inference.json").read_text())
    assert kept["candidates"] == 21


def test_runs_among_other_candidates_are_not_compared():
    results = {
        (label, 1): {"candidates": drawn and {"hash": drawn * 16}}
        for label, drawn in (("A", "abcd"), ("B", "abcd"), ("C", "ffff"), ("D", None))
    }
    check_candidates({key: results[key] for key in [("A", 1), ("B", 1)]})
    check_candidates({("old", 1): {}, ("D", 1): results["D", 1]})
    for label, told in (("C", "abcdabcdab and ffffffffff"), ("D", "abcdabcdab and all items")):
        message = rf"A, seed 1, and {label}, seed 1, were ranked among different.*{told}"
        with pytest.raises(UserError, match=message):
            check_candidates({key: results[key] for key in [("A", 1), (label, 1)]})


def test_runs_on_other_targets_are_not_compared(tiny):
    configs = {("A", 1): tiny(), ("B", 1): tiny(), ("C", 1): tiny("BPR")}
    ranks = Ranks([1, 2], [3, 4], [1, 1])
    check_aligned({("A", 1): ranks, ("B", 1): Ranks([1, 2], [3, 4], [9, 8])}, configs)
    for other, what in (
        (Ranks([1, 3], [3, 4], [1, 1]), "users"),
        (Ranks([1, 2], [3, 5], [1, 1]), "targets"),
    ):
        with pytest.raises(UserError, match=f"A and B were not tested on the same {what}"):
            check_aligned({("A", 1): ranks, ("B", 1): other}, configs)
    several = Ranks([1, 1], [3, 4], [1, 1])
    check_aligned({("A", 1): several, ("B", 1): several}, configs)
    with pytest.raises(UserError, match="several test targets"):
        check_aligned({("A", 1): several, ("C", 1): several}, configs)


def test_values_of_users_with_several_targets():
    ranks = Ranks([1, 1, 2], [5, 6, 7], [1.0, 30.0, 2.0])
    assert user_values(ranks, ["hit@10"], by_target=True).ravel().tolist() == [0.5, 1.0]
    assert user_values(ranks, ["hit@10"], by_target=False).ravel().tolist() == [1.0, 1.0]


def test_a_report_names_the_command_only_where_there_is_one():
    table = Table("Numbers", ["model"], [["A"]], [])
    request = Request("tiny", "Pop", 2020)  # one name and one seed, as Python has them
    assert [entry.label for entry in request.entries] == ["Pop"]
    assert "recbole_intent" not in report(request, {"numbers": table}, "Title")
    request = replace(request, command=["compare", "--models=Pop"])
    text = report(request, {"numbers": table}, "Title")
    assert "recbole_intent compare --models=Pop" in text
