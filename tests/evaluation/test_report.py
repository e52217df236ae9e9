"""Text tables of runs: columns line up, and what was measured stands below."""

from recbole_intent.evaluation.report import metric_table, terminal_table, text_table


def result(**changes) -> dict:
    return {
        "model": "BPR",
        "valid": {"ndcg@10": 0.25},
        "test": {"ndcg@10": 0.125},
        "best_epoch": 3,
        "epochs": 8,
        "seconds": 90.0,
        "pretraining_seconds": 0.0,
        "peak_memory_mib": 512.4,
        "approximations": [],
        **changes,
    }


def test_columns_line_up():
    lines = text_table(["metric", "test"], [["a", "1.0"], ["longer name", "10.25"]]).split("\n")
    assert len({len(line) for line in lines}) == 1
    assert lines[2] == "| a           |   1.0 |"


def test_a_run_is_told_with_its_cost():
    table = metric_table([result()])
    for row in ("ndcg@10 | 0.2500 | 0.1250", "best epoch | 3/8", "minutes | 1.5", "peak MiB | 512"):
        assert row in " ".join(table.split())
    assert table.endswith("|")  # nothing to add below


def test_what_is_not_exact_and_not_all_items_is_said_below():
    drawn = {"negatives": 99, "seed": 2020, "hash": "0123456789abcdef"}
    told = result(candidates=drawn, approximations=["windows: strided"])
    below = metric_table([told, told]).split("\n")[-2:]
    assert below == [
        "ranked among 1 + 99 candidates (hash 0123456789)",
        "approximation: windows: strided",
    ]


def test_a_wide_table_goes_on_below():
    header = ["metric", *(f"a rather long label {n}" for n in range(7))]
    rows = [[name, *"1234567"] for name in ("ndcg@10", "mrr@10")]
    lines = terminal_table(header, rows).split("\n")
    assert max(map(len, lines)) <= 80
    assert "".join(lines).count("metric") == 4
    for label in header:
        assert any(label in line for line in lines)
    assert terminal_table(header[:3], [row[:3] for row in rows]) == text_table(
        header[:3], [row[:3] for row in rows]
    )
    assert terminal_table(["metric"], []) == text_table(["metric"], [])
    many = metric_table([result(model=f"Model{n}") for n in range(5)])
    assert max(map(len, many.split("\n"))) <= 80
