"""Labels, reasons and words of the command that are no plain texts, in what `compare` leaves."""

import re
from html.parser import HTMLParser

from recbole_intent.compare.compare import _tables, _write
from recbole_intent.compare.request import Request

LABELS = [
    "\x1b[31mred\x1b[0m",
    "\x9b2J",
    "a\n# heading",
    "turned \u202earound",
    "half \ud83d",
    "NUL \0",
    "<script>alert(1)</script>",
    "<u>best</u>",
    "![x](http://a/b.png)",
    "[x](http://a)",
    "<http://a>",
    "`a|b\\|c`",
    "$\\frac{",
    "# a",
    "=1+1",
]


class Page(HTMLParser):
    """Text and tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", set()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)


def test_labels_are_shown_and_never_obeyed(make_comparison, tmp_path):
    from markdown_it import MarkdownIt

    comparison = make_comparison(LABELS, seeds=(1,), n=40, metrics=("ndcg@5",))
    for result in comparison.results.values():
        result |= {"epochs": 5, "commit": None}
    comparison.failures[LABELS[0], 2] = LABELS[1]
    folders = dict.fromkeys(comparison.results, tmp_path / "x")
    tables = _tables(comparison, folders, "ndcg@5", LABELS)
    words = ["compare", "\x1b[2J\n```\n# a heading"]
    _write(Request("a", [], [1], command=words), comparison, tables, tmp_path, folders)
    written = [
        tmp_path / "report.md",
        *tmp_path.glob("tables/*.md"),
        *tmp_path.glob("tables/*.tex"),
    ]
    assert len(written) > 5
    for path in written:
        text = path.read_text("utf-8")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
        if path.suffix == ".md":
            shown = Page(MarkdownIt("commonmark").enable("table").render(text))
            allowed = "h1 h2 p table thead tbody tr th td strong u pre code ul li"
            assert shown.tags <= set(allowed.split())
            assert not re.findall("^# heading", text, re.MULTILINE)
    page = (tmp_path / "page.html").read_text("utf-8").split("<body>")[1]
    body = page.split("<script", 1)[0]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", body)
    shown = Page(body)
    assert not {"script", "img"} & shown.tags
    assert "<script>alert(1)</script>" in shown.text
    assert (tmp_path / "metrics.png").stat().st_size > 0
    assert "=1+1" in (tmp_path / "tables" / "test.csv").read_text("utf-8")
