"""A finished run under other conditions."""

import json
from pathlib import Path

import numpy as np
import pytest

from recbole_intent.config.config import Config
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.runs.evaluate import (
    evaluate_run,
    find_evaluation,
    find_inference,
    time_inference,
)
from recbole_intent.runs.experiment import Run, run
from recbole_intent.utils.errors import UserError


@pytest.fixture(scope="module")
def done(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    options = {
        "data_path": str(tiny_path),
        "device": "cpu",
        "epochs": 1,
        "hidden_size": 16,
        "MAX_ITEM_LIST_LENGTH": 8,
        "show_progress": False,
        "tensorboard": False,
    }
    return run("SASRec", "tiny", overrides=options, output=tmp_path_factory.mktemp("run"))


def test_no_condition_gives_the_test_metrics_of_the_run(done):
    assert evaluate_run(done.folder, {}).test == pytest.approx(done.result["test"])


def test_conditions_change_the_metrics_and_leave_the_run_alone(done):
    before = (done.folder / "result.json").read_bytes()
    for condition in ({"noise": {"ratio": 0.9}}, {"mask_history": True}):
        found = evaluate_run(done.folder, condition)
        assert found.test != done.result["test"]
        assert json.loads(found.path.read_text())["conditions"] == condition
        assert found.path.with_suffix(".npz").is_file()
    assert (done.folder / "result.json").read_bytes() == before


def test_a_run_that_ranked_all_items_is_asked_directly(done, tiny_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where candidates are kept
    condition = {"task": "direct", "n_candidates": 20}
    found = evaluate_run(done.folder, condition)
    assert found.candidates["negatives"] == 20
    assert json.loads(found.path.read_text())["candidates"] == found.candidates
    assert (found.ranks.rank <= 21).all()
    assert found.ranks.rank.mean() < done_ranks(done).mean()
    again = find_evaluation(done.folder, condition)
    assert (again.test, again.candidates) == (found.test, found.candidates)
    assert find_evaluation(done.folder, {**condition, "candidates_seed": 1}) is None


def done_ranks(done: Run):
    return Ranks.load(done.folder / "ranks.npz").rank


def test_other_candidates_than_the_runs_are_refused(tiny_path, tmp_path, done):
    """Drawn by the same seed, but not the same: by another version of numpy, say."""
    config = Config.of_run(done.folder, {"task": "direct", "n_candidates": 20}).plain()
    given = {**config, "checkpoint_dir": str(tmp_path / "saved")}
    model, dataset = given.pop("model"), given.pop("dataset")
    direct = run(model, dataset, overrides=given, output=tmp_path / "run", allow_unknown=True)
    assert direct.result["task"] == "direct"
    assert evaluate_run(direct.folder, {}).test == pytest.approx(direct.result["test"])
    (path,) = (tmp_path / "saved/candidates").glob("*.npz")
    with np.load(path) as file:
        arrays = dict(file)
    arrays["test"] = arrays["test"][:, ::-1]
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="among other candidates"):
        evaluate_run(direct.folder, {})
    evaluate_run(direct.folder, {"n_candidates": 10})  # others by intent


@pytest.mark.parametrize("condition", [{"topk": [7]}, {"topk": 7}, {"metrics": ["Hit"]}], ids=str)
def test_other_metrics_need_no_other_valid_metric(done, condition):
    names = evaluate_run(done.folder, condition).test.keys()
    assert all(name.endswith("@7") or name.startswith("hit@") for name in names)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"epochs": 3}, "--epochs: would need another training"),
        ({"noise": 0.2}, "noise: 0.2 is not a mapping"),
        ({"noise": {"ratio": 0.2, "where": "train"}}, "only `test` can be evaluated"),
        ({"metrics": ["Recal"]}, "Recal"),
    ],
    ids=str,
)
def test_mistakes_are_named(done, condition, message):
    with pytest.raises(UserError, match=message):
        evaluate_run(done.folder, condition)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no finished run \(no result\.json\)"):
        evaluate_run(tmp_path, {})


def test_an_evaluation_is_found_again_under_its_conditions_alone(done):
    condition = {"noise": {"ratio": 0.3, "kind": "delete"}}
    assert find_evaluation(done.folder, condition) is None
    made = evaluate_run(done.folder, condition)
    found = find_evaluation(done.folder, condition)
    assert (found.path, found.test) == (made.path, made.test)
    assert (found.ranks.rank == made.ranks.rank).all()
    assert find_evaluation(done.folder, {"noise": {"ratio": 0.31, "kind": "delete"}}) is None


def test_inference_is_timed_and_found_again_for_its_machine(done):
    assert find_inference(done.folder, {"device": "cpu"}) is None
    made = time_inference(done.folder, {"device": "cpu"})
    assert made["users"] == 60
    assert made["candidates"] == 40
    assert made["seconds_per_1000_users"] > 0
    assert find_inference(done.folder, {"device": "cpu"}) == made
    assert find_inference(done.folder, {"device": "cpu", "eval_batch_size": 7}) is None
    with pytest.raises(UserError, match="--epochs: would need another training"):
        time_inference(done.folder, {"epochs": 1})


def test_the_time_of_another_task_is_kept_apart(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where candidates are kept
    own = time_inference(done.folder, {"device": "cpu"})
    asked = {"device": "cpu", "task": "direct", "n_candidates": 20}
    assert find_inference(done.folder, asked) is None
    made = time_inference(done.folder, asked)
    assert made["candidates"] == 21
    assert find_inference(done.folder, asked) == made
    assert find_inference(done.folder, {**asked, "n_candidates": 10}) is None
    assert find_inference(done.folder, {"device": "cpu"}) == own
