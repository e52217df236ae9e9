"""A paper's table: printed numbers beside ours, and every cell that is not there says why."""

from pathlib import Path

import pytest
import yaml

from recbole_intent.cli import main
from recbole_intent.comparing import reproduce as reproduce_module
from recbole_intent.comparing.reproduce import paper_table, read_paper_table, reproduce, table_names
from recbole_intent.config import Config
from recbole_intent.errors import UserError
from recbole_intent.evaluate import evaluate_run, time_inference
from recbole_intent.experiment import run
from recbole_intent.registry import model_names

MINI = {
    "paper": "A paper",
    "table": "Table 1",
    "reference": "small",
    "datasets": {"tiny": "Tiny", "tiny2": "Tiny 2"},
    "columns": [
        {"name": "Recall@10", "metric": "recall@10"},
        {"name": "noisy", "metric": "recall@10", "noise": {"kind": "delete", "ratio": 0.5}},
        {"name": "change", "change": ["Recall@10", "noisy"]},
        {"name": "time, s", "time": "inference"},
    ],
    "rows": [
        {
            "label": "small",
            "model": "SASRec",
            "params": {"hidden_size": 8, "MAX_ITEM_LIST_LENGTH": 8},
            "at": {"hidden_size": 8},
            "printed": {"tiny": [0.4, 0.3, -0.25, 3210]},
        },
        {"label": "missing", "model": "NotHere", "printed": {"tiny": [0.1, None, None, None]}},
    ],
    "notes": ["A note."],
}


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a table of a paper, for `--reproduce=mini`."""

    def write(**changes) -> None:
        folder = tmp_path / "properties" / "reproduce"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mini.yaml").write_text(yaml.safe_dump({**MINI, **changes}))
        monkeypatch.setattr(reproduce_module, "properties_dir", lambda: folder.parent)

    return write


def test_shipped_tables_are_whole():
    """Every row's keys are keys of its model, and every printed number has its column."""
    of_veli4sbr = {f"veli4sbr-{n}" for n in "table2 table3 table4 table6 figure3 figure5".split()}
    assert {"igrsr-table2", "igrsr-table3", "igrsr-figure2", "igrsr-figure3"} <= set(table_names())
    assert of_veli4sbr <= set(table_names())
    for name in table_names():
        paper = read_paper_table(name)
        labels = [row["label"] for row in paper["rows"]]
        assert len(set(labels)) == len(labels)
        assert paper["reference"] in labels
        for row in paper["rows"]:
            if row["model"] in model_names():
                Config(row["model"], "ml-100k", config_dict=row.get("params"))
        nothing = paper_table(paper, dict.fromkeys(paper["datasets"]), [])
        assert len(nothing.rows) == len(labels) * len(paper["datasets"])
        assert all(record["ours"] is None for record in nothing.records)


def test_printed_numbers_of_table_2():
    paper = read_paper_table("igrsr-table2")
    for dataset in paper["datasets"]:
        numbers = {row["label"]: row["printed"][dataset] for row in paper["rows"]}
        best = numbers.pop("IGR-SR")
        # The paper marks its own as the best of each line, by the text and by its bold type.
        assert all(
            ours > max(column) for ours, *column in zip(best, *numbers.values(), strict=True)
        )
        assert all(n[1] > n[0] and n[3] > n[2] and n[0] > n[2] for n in numbers.values())


def test_printed_numbers_of_veli4sbr():
    """VELI4SBR, with texts or without, is the best of each column, as the text says."""
    for name in ("veli4sbr-table2", "veli4sbr-table6"):
        paper = read_paper_table(name)
        for dataset in paper["datasets"]:
            for backbone in ("SASRec", "BERT4Rec") if "2" in name else ("",):
                rows = [row for row in paper["rows"] if backbone in row["label"]]
                numbers = {row["label"]: row["printed"][dataset] for row in rows}
                assert len(numbers) in (10, 11)
                for hit, ndcg in ((0, 1), (2, 3), (4, 5)):
                    assert all(n[hit] > n[ndcg] for n in numbers.values())
                for column in zip(*numbers.values(), strict=True):
                    best = list(numbers)[column.index(max(column))]
                    assert best.startswith("VELI4SBR")


def test_printed_changes_of_table_3_follow_from_its_numbers():
    for row in read_paper_table("igrsr-table3")["rows"]:
        for clean, noisy, change, *_ in row["printed"].values():
            assert noisy / clean - 1 == pytest.approx(change, abs=6e-4)


def test_a_table_with_a_run_and_gaps(paper, tiny_path, tmp_path, capsys):
    paper()
    shared = {
        "data_path": str(tiny_path),
        "checkpoint_dir": str(tmp_path / "saved"),
        "device": "cpu",
        "epochs": 1,
        "tensorboard": False,
    }
    # What a process of its own would leave, as tests/test_compare.py has it, without its start.
    given = {**shared, **MINI["rows"][0]["params"], "seed": 1, "show_progress": False}
    folder = run("SASRec", "tiny", overrides=given).folder
    evaluate_run(folder, {"noise": {"kind": "delete", "ratio": 0.5}})
    timed = time_inference(folder, {"device": "cpu"})
    done = reproduce("mini", [], {"seeds": [1], "overrides": shared})
    assert done.folder == tmp_path / "saved/reproduce-mini"
    cells = [[getattr(cell, "text", cell) for cell in row] for row in done.table.rows]
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rows": [{**MINI["rows"][0], "printed": {"tiny": [1]}}]},
            "expected a dataset.*4 numbers",
        ),
        ({"rows": [{**MINI["rows"][0], "params": {"topk": 5}}]}, "topk is a part of the protocol"),
    ],
    ids=["numbers", "protocol"],
)
def test_mistakes_in_a_file_are_named(paper, changes, message):
    paper(**changes)
    with pytest.raises(UserError, match=message):
        reproduce("mini", ["tiny"], {"seeds": [1]})


def test_a_file_that_lacks_a_part(paper, tmp_path):
    paper()
    path = tmp_path / "properties/reproduce/mini.yaml"
    path.write_text("paper: x\n")
    with pytest.raises(UserError, match=r"mini\.yaml: table is missing"):
        read_paper_table("mini")
