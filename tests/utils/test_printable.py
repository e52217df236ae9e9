"""Texts of others on a terminal, in a log, in Markdown and HTML: shown, never obeyed."""

import ast
import io
import logging
import shutil
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recbole_intent.cli.main import main
from recbole_intent.enrich.report import Coverage, StepCounts, summary
from recbole_intent.evaluation.report import metric_table, text_table
from recbole_intent.plotting.tables import Table
from recbole_intent.runs.experiment import run
from recbole_intent.utils.printable import PrintableFormatter, markdown, printable, say

PACKAGE = Path(__file__).resolve().parents[2] / "recbole_intent"
JOINERS = "\u200c\u200d\u00ad"
# Kind -> a text of it.
HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "clears the screen": "\x1b[2J\x1b[H",
    "title of the window": "\x1b]0;mine\x07",
    "link": "\x1b]8;;http://a\x1b\\b\x1b]8;;\x1b\\",
    "C1": "\x9b2J\x9d0;mine\x9c",
    "overwrites": "abc\rdef\bg\x7f",
    "a line of ours": "a\nerror: mine",
    "other line breaks": "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1eh",
    "turned around": "a\u202eb\u2066c\u200fd\u061ce",
    "not seen": "a\u200bb\ufeffc\u2060d\u180ee",
    "half a pair": "a\ud83db\udcff",
    "NUL": "a\0b",
    "tag": "<script>alert(1)</script>",
    "underlined": "<u>best</u>",
    "comment": "<!-- a",
    "picture": "![x](http://a/b.png)",
    "reference": "![x][y] [y]: http://a",
    "link of Markdown": "[x](http://a)",
    "autolink": "<http://a>",
    "code": "`a` ``b``",
    "cells": "a|b\\|c\\",
    "marks": "**a** _b_ __c__ ~~d~~ *e",
    "entity": "&lt;b&gt; &#60; &amp;",
    "heading": "# a",
    "list": "1. a",
    "bullet": "- a",
    "quote": "> a",
    "rule": "---",
    "formula": "=1+1",
}


def is_clean(text: str) -> bool:
    """Nothing in it but what a reader sees (and the joiners)."""
    return not [
        sign
        for sign in text
        if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")
        or (unicodedata.bidirectional(sign) in ("LRO", "RLO", "LRE", "RLE", "LRI", "RLI", "FSI"))
        or sign in "\u200b\u200e\u200f\ufeff\u2060"
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_is_one_clean_line(name):
    text = HOSTILE[name]
    assert is_clean(printable(text))
    assert printable(printable(text)) == printable(text)
    lines = printable(f"a\n{text}\nb", lines=True)
    assert is_clean(lines.replace("\n", ""))
    assert lines.count("\n") == 2 + text.count("\n")


@pytest.mark.parametrize(
    "text",
    ["Amélie (2001)", "千と千尋の神隠し", "دختر\u200cها", "👩\u200d👩\u200d👧", "a\u00adb", "שלום"],
)
def test_a_text_of_any_script_stays_as_it_is(text):
    assert printable(text) == text
    assert markdown(text) == text


class Shown(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)


def words(text: str) -> str:
    return " ".join(text.split())


PLACES = {
    "# {}": ["h1"],
    "{}": ["p"],
    "Made by {} and {}.": ["p"],
    "| a | b |\n|---|---|\n| {} | {} |": ["table", "thead", "tr", "th", "th", "tbody", "tr"],
}


def check_markdown(text: str) -> None:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    said = printable(text)
    for place, tags in PLACES.items():
        shown = Shown(reader.render(place.replace("{}", markdown(text))))
        assert shown.tags[: len(tags)] == tags
        assert set(shown.tags[len(tags) :]) <= {"td"}
        if "| a |" in place:
            assert shown.tags.count("td") == 2
        plain = place.split("\n")[-1].strip("# |").replace(" | ", " ")
        assert words(shown.text.removeprefix("\n\n\na\nb\n")) == words(plain.replace("{}", said))


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_the_text_and_nothing_else(name):
    check_markdown(HOSTILE[name])


@settings(max_examples=300, deadline=None)
@given(st.text("ab1 \\`*_{}[]()<>#+-.!|~&;:=\"'/\t\n\x1b", min_size=1).filter(str.strip))
@example("\\")
@example("a\\|")
def test_markdown_shows_any_text(text):
    check_markdown(text.strip())


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_is_one_clean_line(text):
    assert is_clean(printable(text))


def test_an_interval_stays_readable():
    assert markdown("+3.1 % [−0.0012, 0.0040]") == "+3.1 % [−0.0012, 0.0040]"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
def test_a_stream_of_any_encoding_is_written_to(encoding):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    say("é千\ud800\x1b", file=file, flush=True)
    shown = file.buffer.getvalue().decode(encoding)
    assert shown.endswith("\n")
    assert ("é千" in shown) == (encoding == "utf-8")


def test_nothing_else_prints():
    """What goes to the screen goes through `say`."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_print = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
            if is_print and path.name != "printable.py":
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert found == []


def test_a_log_has_a_line_for_each_message():
    stream = io.StringIO()
    logger = logging.Logger("a")
    logger.addHandler(logging.StreamHandler(stream))
    logger.handlers[0].setFormatter(PrintableFormatter("%(message)s"))
    for text in HOSTILE.values():
        logger.warning("%s", text)
    lines = stream.getvalue().split("\n")
    assert lines == [*map(printable, HOSTILE.values()), ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_tables_show_texts_of_others(name):
    text = HOSTILE[name]
    table = Table(text, ["model", "x"], [[text, text]], [{"model": text}], [text])
    result = {
        "model": text, "test": {"a": 1.0}, "valid": {"a": 1.0}, "best_epoch": 1, "epochs": 1,
        "seconds": 1.0, "pretraining_seconds": 0.0, "peak_memory_mib": 1.0,
        "approximations": [text],
    }  # fmt: skip
    for shown in (table.text(), text_table([text], [[text]]), metric_table([result])):
        assert is_clean(shown.replace("\n", ""))
        assert printable(text) in shown
    assert is_clean(table.markdown().replace("\n", ""))
    assert is_clean(table.latex().replace("\n", ""))


def test_a_table_of_numbers_is_exact():
    """CSV is for machines: what begins with = stays as it is."""
    texts = ["=1+1", "@a", "+1", "-1", "\ta"]
    table = Table("a", ["b"], [], [{"model": text} for text in texts])
    assert table.csv().splitlines() == ["model", *texts]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_report_of_enrich_shows_intents_and_reasons(name):
    text = HOSTILE[name]
    coverage, step = Coverage(3, 1, True), StepCounts()
    coverage.add((text,), False, (0, 0))
    step.add(False, text, (0, 0))
    shown = summary(text, text, 1, coverage, {text: 2}, {"features": step}, (1, text))
    assert is_clean(shown.replace("\n", ""))
    assert shown.count(markdown(text)) >= 6


def test_the_screen_shows_titles_of_others(tiny_path, tmp_path, capsys):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_path / "tiny", folder)
    items = [
        line.split("\t")[0] for line in (folder / "tiny.item").read_text("utf-8").splitlines()[1:]
    ]
    texts = [t for t in HOSTILE.values() if not {"\n", "\r", "\ud83d", "\0"} & set(t)]
    titles = "".join(f"{item}\t{texts[n % len(texts)]}\n" for n, item in enumerate(items))
    (folder / "tiny.item").write_text(f"item_id:token\ttitle:token_seq\n{titles}", "utf-8")
    options = {
        "data_path": str(tmp_path), "checkpoint_dir": str(tmp_path / "saved"), "epochs": 1,
        "device": "cpu", "threads": 1, "show_progress": False, "tensorboard": False,
        "hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 8,
    }  # fmt: skip
    done = run("SASRec", "tiny", overrides=options)
    assert main(["recommend", f"--run={done.folder}", "--users=all", "--k=30"]) == 0
    shown = capsys.readouterr().out
    assert is_clean(shown.replace("\n", ""))
    assert "alert(1)" in shown


@pytest.mark.parametrize("name", [n for n in HOSTILE if n != "NUL"])
def test_a_mistake_is_one_clean_line(name, capsys):
    text = HOSTILE[name].replace("/", "_")
    for words_ in (
        [f"--model={text}", "--dataset=a"],
        ["recommend", f"--run={text}", "--users=all"],
        ["prepare", "--dataset=a", f"--source={text}"],
        ["enrich", "--for=ISRF", f"--dataset={text}"],
        ["evaluate", f"--run={text}"],
        [f"--{text}"],
    ):
        assert main(words_) == 2
        lines = capsys.readouterr().err.split("\n")
        assert lines[0].startswith("error: ")
        assert lines[1:] == [""]
        assert is_clean(lines[0])
