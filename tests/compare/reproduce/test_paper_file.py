"""Descriptions of papers' tables: every one is well formed, and mistakes in one are named."""

import re

import pytest

from recbole_intent.compare.reproduce.paper_file import (
    other_tasks,
    own_task,
    printed,
    read_paper_table,
    table_names,
)
from recbole_intent.config.config import Config
from recbole_intent.config.registry import model_names
from recbole_intent.utils.errors import UserError

SHIPPED = {
    "igrsr": "table2 table3 figure2 figure3",
    "veli4sbr": "table2 table3 table4 table6 figure3 figure5",
    "isrf": "table1 table2 table3 table4 figure3 figure4 figure8",
}


def test_shipped_tables_are_whole():
    """Every row's keys are keys of its model, and every printed number has its column."""
    assert table_names() == sorted(
        f"{paper}-{name}" for paper, names in SHIPPED.items() for name in names.split()
    )
    for name in table_names():
        paper = read_paper_table(name)
        labels = [row["label"] for row in paper["rows"]]
        assert len(set(labels)) == len(labels)
        assert paper["reference"] in labels
        for row in paper["rows"]:
            if row["model"] in model_names():
                own = {**(row.get("defaults") or {}), **(row.get("params") or {})}
                Config(row["model"], "ml-100k", config_dict=own)


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


def test_printed_numbers_of_isrf():
    """Those that a ranking can have are there, and ISRF's are the best, as the text says."""
    for name, n_left_out in (("isrf-table1", 4), ("isrf-table2", 0)):
        paper, left_out = read_paper_table(name), 0
        for dataset in paper["datasets"]:
            numbers = {row["label"]: row["printed"][dataset] for row in paper["rows"]}
            there = {label: told for label, told in numbers.items() if None not in told}
            left_out += len(numbers) - len(there)
            for hit5, ndcg5, hit10, ndcg10 in there.values():
                assert hit10 >= hit5 >= ndcg5
                assert hit10 >= ndcg10 >= ndcg5
            best = there.pop("ISRF")
            assert all(
                ours > max(column) for ours, *column in zip(best, *there.values(), strict=True)
            )
        assert left_out == n_left_out


def test_isrfs_tables_print_the_same_numbers_of_the_whole_model():
    """Table 3 has those of Tables 1 and 2; not for Sports, as a note of it says."""
    whole = [
        next(row for row in read_paper_table(name)["rows"] if row["label"] == "ISRF")
        for name in ("isrf-table1", "isrf-table2", "isrf-table3")
    ]
    for dataset in ("amazon-toys", "amazon-beauty"):
        sequential, direct, both = (row["printed"][dataset] for row in whole)
        assert both == [*sequential[2:], *direct[2:]]
    for row in read_paper_table("isrf-table3")["rows"][1:]:  # what is left out costs something
        for dataset, told in row["printed"].items():
            full = whole[2]["printed"][dataset]
            lower = [mine < theirs for mine, theirs in zip(told, full, strict=True) if mine]
            assert lower == [True, True]


def test_tasks():
    assert own_task(read_paper_table("isrf-table1")) == "next-item"
    assert own_task(read_paper_table("isrf-table2")) == "direct"
    assert other_tasks(read_paper_table("isrf-table2")) == []
    assert other_tasks(read_paper_table("isrf-table3")) == ["direct"]
    row = read_paper_table("isrf-table4")["rows"][0]
    assert [printed(row, "amazon-toys", i) for i in (0, 3)] == [5 * 60 + 7, 7 * 60 + 29]
    assert printed({}, "amazon-toys", 0) is None


ROW = {"label": "small", "model": "SASRec"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [{**ROW, "printed": {"tiny": [1]}}]}, "expected a dataset.*4 numbers"),
        ({"rows": [{**ROW, "params": {"topk": 5}}]}, "topk is a part of the protocol"),
        ({"rows": [{**ROW, "defaults": {"task": "direct"}}]}, "task is a part of the protocol"),
        ({"task": "indirect"}, "task: 'indirect' is none of next-item, direct"),
        (
            {"columns": [{"name": "s", "time": "training"}]},
            "s: time: 'training' is none of inference, epoch",
        ),
        (
            {"columns": [{"name": "a", "metric": "mrr@5", "task": "drect"}]},
            "a: task: 'drect' is none of",
        ),
        ({"columns": [{"name": "a", "metrics": "mrr@5"}]}, "a: a column has a name and one of"),
        ({"columns": [{"metric": "mrr@5"}]}, "None: a column has a name and one of metric, change"),
        (
            {"columns": [{"name": "a", "memory": "peak", "task": "direct"}]},
            "a: task cannot stand beside memory",
        ),
        (
            {"columns": [{"name": "a", "metric": "mrr@5", "task": "direct", "noise": {}}]},
            "a: noise and task cannot stand beside metric",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_in_a_file_are_named(paper, changes, message):
    path = paper(**changes)
    with pytest.raises(UserError, match=f"{re.escape(str(path))}: .*{message}"):
        read_paper_table("mini")


def test_a_file_that_lacks_a_part(paper):
    paper().write_text("paper: x\n")
    with pytest.raises(UserError, match=r"mini\.yaml: table is missing"):
        read_paper_table("mini")
