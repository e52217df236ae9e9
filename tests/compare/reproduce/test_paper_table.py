"""A paper's table without a single number of ours: every cell that is not there says why."""

from recbole_intent.compare.reproduce.paper_file import read_paper_table, table_names
from recbole_intent.compare.reproduce.paper_table import measured, paper_table


def test_tables_of_datasets_that_are_not_prepared():
    for name in table_names():
        paper = read_paper_table(name)
        nothing = paper_table(paper, dict.fromkeys(paper["datasets"]), [])
        assert len(nothing.rows) == len(paper["rows"]) * len(paper["datasets"])
        assert all(record["ours"] is None for record in nothing.records)
        assert measured(paper, paper["reference"], None) == [[] for _ in paper["columns"]]


def test_printed_numbers_stand_as_their_columns_are():
    table4 = paper_table(read_paper_table("isrf-table4"), {"amazon-toys": None}, [])
    elmrec, isrf = ([getattr(cell, "text", cell) for cell in row] for row in table4.rows)
    assert elmrec[2::2] == ["not prepared"] * 4
    assert isrf[2::2] == ["not prepared"] * 4
    assert elmrec[3::2] == ["307.00", "21.15", "599.00", "449.00"]
    table3 = paper_table(read_paper_table("isrf-table3"), {"amazon-toys": None}, [])
    assert table3.rows[1][3::2] == ["0.0779", "0.0636", "–", "–"]
