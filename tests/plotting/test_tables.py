"""Tables as Markdown, CSV and LaTeX."""

import csv
import io

from recbole_intent.plotting.tables import Cell, Table, marked_best, signed, signed_percent

TABLE = Table(
    "Test & more",
    ["model", "recall@10"],
    [["A|B_1", Cell("0.5***", bold=True)], ["<u>", Cell("0.4", underlined=True)], ["C", "–"]],
    [{"model": "A|B_1", "recall@10": 0.5}, {"model": "C", "recall@10": None, "sd": 1e-9}],
    ["Stars: p ≤ .05 & 5 %."],
)


def test_markdown_says_what_the_cells_say():
    """Read back by a Markdown reader, every text is as it was and the marks are marks."""
    from markdown_it import MarkdownIt

    html = MarkdownIt("commonmark").enable("table").render(TABLE.markdown())
    for cell in (
        "<td>A|B_1</td>",
        "><strong>0.5***</strong></td>",
        "<td>&lt;u&gt;</td>",
        "<u>0.4</u></td>",
        ">–</td>",
        "<p>Stars: p ≤ .05 &amp; 5 %.</p>",
    ):
        assert cell in html


def test_the_terminal_gets_no_marks():
    text = TABLE.text()
    assert text.startswith("Test & more\n")
    assert "| 0.5*** |" in text.replace("    ", " ")
    assert "**0.5" not in text
    assert "\\" not in text


def test_csv_has_full_numbers_and_empty_fields():
    rows = list(csv.DictReader(io.StringIO(TABLE.csv())))
    assert rows[0] == {"model": "A|B_1", "recall@10": "0.5", "sd": ""}
    assert rows[1] == {"model": "C", "recall@10": "", "sd": "1e-09"}


def test_latex_is_escaped_and_complete():
    text = TABLE.latex()
    assert r"\caption{Test \& more. Stars: p $\le$ .05 \& 5 \%.}" in text
    assert r"A|B\_1 & \textbf{0.5$^{*}$$^{*}$$^{*}$} \\" in text
    assert r"\underline{0.4}" in text
    assert r"\begin{tabular}{lr}" in text
    for what in ("begin", "end"):
        assert text.count(rf"\{what}{{table}}") == text.count(rf"\{what}{{tabular}}") == 1


def test_files(tmp_path):
    TABLE.write(tmp_path, "test")
    assert (tmp_path / "test.md").read_text() == f"# Test & more\n\n{TABLE.markdown()}"
    assert (tmp_path / "test.csv").read_text() == TABLE.csv()
    assert (tmp_path / "test.tex").read_text() == TABLE.latex()


def test_best_and_second_are_marked_and_equals_alike():
    def marks(values, **how):
        cells = marked_best(values, [str(value) for value in values], **how)
        return "".join("b" if c.bold else "u" if c.underlined else "." for c in cells)

    assert marks([0.1, 0.3, None, 0.2, 0.3]) == ".b.ub"
    assert marks([0.1, 0.3, 0.2], bigger=False) == "b.u"
    assert marks([None, 0.3]) == ".b"
    assert marks([None, None]) == ".."
    assert marks([]) == ""


def test_signs():
    assert [signed(v) for v in (0.01234, -0.01234, 0.0, -0.00001)] == [
        "+0.0123",
        "−0.0123",
        "0.0000",
        "0.0000",
    ]
    assert signed_percent(-0.104) == "−10.4 %"
