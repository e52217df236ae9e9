"""A paper's table made: runs, evaluations on other tasks, pictures, and gaps that say why."""

import json

import pytest

from recbole_intent.cli.main import main
from recbole_intent.compare.reproduce.reproduce import reproduce
from recbole_intent.runs.evaluate import evaluate_run, time_inference
from recbole_intent.runs.experiment import run
from recbole_intent.utils.errors import UserError

SMALL_ISRF = {
    "n_layers": 1,
    "n_heads": 2,
    "hidden_size": 16,
    "inner_size": 32,
    "semantic_size": 8,
    "n_negatives": 9,
    "n_similar_users": 5,
    "align_every": 1,
    "MAX_ITEM_LIST_LENGTH": 8,
}
DIRECT = {"task": "direct", "n_candidates": 20, "candidates_seed": 2020}


@pytest.fixture
def shared(tiny_path, tmp_path):
    return {
        "data_path": str(tiny_path),
        "checkpoint_dir": str(tmp_path / "saved"),
        "device": "cpu",
        "epochs": 1,
        "tensorboard": False,
        "preset": "ours",
    }


@pytest.fixture
def make(shared):
    """Make a run as a process of its own would, without its start; its folder."""

    def make_run(model, values, **others):
        given = {**shared, **values, "seed": 1, "show_progress": False, **others}
        folder = run(model, "tiny", overrides=given).folder
        time_inference(folder, {"device": "cpu"})
        return folder

    return make_run


def texts(table):
    return [[getattr(cell, "text", cell) for cell in row] for row in table.rows]


def test_a_table_with_a_run_and_gaps(paper, small, shared, make, tmp_path, capsys):
    paper()
    folder = make("SASRec", small)
    evaluate_run(folder, {"noise": {"kind": "delete", "ratio": 0.5}})
    timed = json.loads((folder / "inference.json").read_text())
    done = reproduce("mini", [], {"seeds": [1], "overrides": shared})
    assert done.folder == tmp_path / "saved/reproduce-mini"
    cells = texts(done.table)
    assert [row[:2] for row in cells] == [
        ["tiny (Tiny)", "small"],
        ["tiny (Tiny)", "missing"],
        ["tiny2 (Tiny 2)", "small"],
        ["tiny2 (Tiny 2)", "missing"],
    ]
    assert cells[0][3::2] == ["0.4000", "0.3000", "−25.0 %", "3,210.00"]
    ours = [record["ours"] for record in done.table.records if record["model"] == "small"][:4]
    assert cells[0][2] == f"{ours[0]:.4f}"
    assert ours[2] == pytest.approx(ours[1] / ours[0] - 1)
    assert ours[3] == pytest.approx(timed["seconds_per_1000_users"] * timed["users"] / 1000)
    assert cells[1][2::2] == ["no such model here"] * 4
    assert cells[1][3::2] == ["0.1000", "–", "–", "–"]
    assert cells[2][2:] == ["not prepared", "–"] * 4
    assert "A note." in done.table.notes
    assert any("'tiny2' is not prepared" in note for note in done.table.notes)
    assert (done.folder / "mini.csv").is_file()
    assert (done.folder / "tiny/report.md").is_file()
    assert (done.folder / "tiny/sensitivity.png").is_file()
    assert not (done.folder / "tiny2").exists()
    # The same from the command line, which reads what is there.
    words = [f"--{key}={value}" for key, value in shared.items()]
    assert main(["compare", "--reproduce=mini", "--seeds=1", *words]) == 0
    assert done.table.text() in capsys.readouterr().out


def test_a_table_of_both_tasks(paper, small, shared, make):
    """One training a row: its direct columns ask the same weights; a row without texts fails."""
    paper(
        columns=[
            {"name": "H@10", "metric": "recall@10"},
            {"name": "direct H@10", "metric": "recall@10", "task": "direct"},
            {"name": "direct, s", "time": "inference", "task": "direct"},
            {"name": "s / epoch", "time": "epoch"},
            {"name": "GiB", "memory": "peak"},
        ],
        rows=[
            {"label": "small", "model": "SASRec", "params": small, "at": {"width": 8}},
            {"label": "ISRF", "model": "ISRF", "params": SMALL_ISRF},
            {
                "label": "ISRF-vNeg",
                "model": "ISRF",
                "params": {**SMALL_ISRF, "item_text": "negative"},
            },
        ],
    )
    folders = {"small": make("SASRec", small), "ISRF": make("ISRF", SMALL_ISRF)}
    direct = {label: evaluate_run(folder, DIRECT) for label, folder in folders.items()}
    times = {
        label: time_inference(folder, {"device": "cpu", **DIRECT})
        for label, folder in folders.items()
    }
    given = {**shared, "n_candidates": 20}
    done = reproduce("mini", ["tiny"], {"seeds": [1], "overrides": given})
    ours = {(record["model"], record["column"]): record["ours"] for record in done.table.records}
    for label, folder in folders.items():
        result = json.loads((folder / "result.json").read_text())
        assert ours[label, "H@10"] == result["test"]["recall@10"]
        assert ours[label, "direct H@10"] == direct[label].test["recall@10"]
        seconds = times[label]["seconds_per_1000_users"] * times[label]["users"] / 1000
        assert ours[label, "direct, s"] == pytest.approx(seconds)
        assert ours[label, "s / epoch"] == result["seconds"]
        assert ours[label, "GiB"] == result["peak_memory_mib"] / 1024
    assert direct["small"].candidates == direct["ISRF"].candidates
    assert texts(done.table)[2][2::2] == ["failed"] * 5
    (why,) = (note for note in done.table.notes if "ISRF-vNeg" in note)
    assert "enrich --for=ISRF --dataset=tiny --semantics=llm '--texts=[fused,negative]'" in why
    # The lower of two costs is the better one, and is marked.
    row = min(range(2), key=lambda i: done.table.records[9 + i]["ours"])
    assert [done.table.rows[i][8].bold for i in range(2)] == [row == 0, row == 1]
    for name in ("sensitivity.png", "sensitivity-direct.png"):
        assert (done.folder / "tiny" / name).is_file()
    assert "1 + 20 candidates" in (done.folder / "tiny/report.md").read_text()


def test_a_table_of_the_direct_task_chooses_epochs_on_it(paper, small, shared, make):
    columns = [{"name": "H@10", "metric": "recall@10"}]
    bpr = {"label": "BPR", "model": "BPR", "params": {"embedding_size": 8}}
    sasrec = {"label": "small", "model": "SASRec", "params": small, "at": {"width": 8}}
    settings = {"n_candidates": 20}
    paper(task="direct", settings=settings, columns=columns, rows=[sasrec, bpr])
    folders = [make("SASRec", small, task="direct", **settings)]
    folders.append(make("BPR", {"embedding_size": 8}, task="direct", **settings))
    done = reproduce("mini", ["tiny"], {"seeds": [1], "overrides": shared})
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    assert {result["task"] for result in results} == {"direct"}
    assert results[0]["candidates"] == results[1]["candidates"]
    assert [r["ours"] for r in done.table.records] == [r["test"]["recall@10"] for r in results]
    assert (done.folder / "tiny/sensitivity-direct.png").is_file()
    assert not (done.folder / "tiny/sensitivity.png").exists()


def test_defaults_of_a_row_are_what_the_command_may_change(paper, small, shared, make):
    row = {"label": "small", "model": "SASRec", "defaults": small}
    bpr = {"label": "BPR", "model": "BPR", "params": {"embedding_size": 8}}
    paper(columns=[{"name": "H@10", "metric": "recall@10"}], rows=[row, bpr])
    wide = make("SASRec", {**small, "hidden_size": 12})
    make("BPR", bpr["params"])  # which knows no hidden_size
    given = {**shared, "hidden_size": 12}
    done = reproduce("mini", ["tiny"], {"seeds": [1], "overrides": given})
    result = json.loads((wide / "result.json").read_text())
    assert done.table.records[0]["ours"] == result["test"]["recall@10"]
    assert len(list(wide.parent.glob("SASRec-*"))) == 1


def test_a_dataset_that_the_table_has_not(paper):
    paper()
    with pytest.raises(UserError, match="--datasets: toys is not in Table 1"):
        reproduce("mini", ["toys"], {"seeds": [1]})


@pytest.mark.parametrize("preset", [None, "ours"])
def test_the_papers_models_have_the_papers_values_unless_ours_are_asked_for(
    paper, small, shared, preset
):
    sizes = {**small, "distiller_size": 8, "inner_size": 8, "n_layers": 1}
    paper(
        columns=[{"name": "H@10", "metric": "recall@10"}],
        rows=[
            {"label": "IGR-SR", "model": "IGRSR", "params": sizes},
            {"label": "small", "model": "SASRec", "params": small},
        ],
    )
    del shared["preset"]
    given = shared if preset is None else {**shared, "preset": preset}
    done = reproduce("mini", ["tiny"], {"seeds": [1], "overrides": given})
    notes = "\n".join(done.table.notes)
    assert f"IGRSR: --preset={preset or 'paper'}, " in notes
    assert "IGR-SR: not as in the paper: " in notes
    assert ("icr_main: view" in notes) == (preset == "ours")
    results = [
        json.loads(path.read_text()) for path in (done.folder.parent).glob("*-tiny-1-*/result.json")
    ]
    assert {result["model"]: result["preset"] for result in results} == {
        "IGRSR": None if preset else "paper",
        "SASRec": None,
    }
