"""The page stands alone: whole HTML, nothing from the network, no text of a user read as code."""

import dataclasses
import json
import re
import sys
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest
from PIL import Image

from recbole_intent.compare import page
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.runs.experiment import run
from recbole_intent.utils.errors import UserError

VOID = {"meta", "br", "link", "img", "input", "hr"}
PICTURES = ["metrics", "curves", "cost", "history_length", "item_popularity", "noise"]


class Reader(HTMLParser):
    """Reads a page, and fails where tags do not close as they opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.setdefault(self.open[-1] if self.open else "", []).append(data)

    def all(self, name: str, attribute: str) -> list[str]:
        return [found[attribute] for tag, found in self.tags if tag == name and attribute in found]


def read(path) -> tuple[str, Reader]:
    """The page without plotly.js, checked, and what was read in it."""
    text = path.read_text("utf-8")
    libraries = re.findall(r"<script>[^<]*plotly\.js v.*?</script>", text, re.DOTALL)
    assert len(libraries) == ('class="figure"' in text)  # once, whatever the number of figures
    for library in libraries:
        text = text.replace(library, "<script></script>")
    reader = Reader(text)
    ids = [found["id"] for _, found in reader.tags if "id" in found]
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in reader.all("a", "href")} <= set(ids)
    # Nothing is loaded: no address in any attribute or style, but for links within the page.
    for tag, found in reader.tags:
        assert "src" not in found
        assert tag not in ("link", "img", "iframe", "object")
        assert all(name != "href" or value.startswith("#") for name, value in found.items())
        assert not any(name.startswith("on") for name in found)
    assert "://" not in "".join(reader.text["style"] + reader.text.get("script", []))
    assert "url(" not in text
    assert "@import" not in text
    return text, reader


def figures(text: str) -> dict[str, go.Figure]:
    blocks = re.findall(
        r'<script type="application/json" class="figure" data-chart="([^"]+)">(.*?)</script>',
        text,
        re.DOTALL,
    )
    return {name: go.Figure(json.loads(block)) for name, block in blocks}


@pytest.fixture(scope="module")
def whole(make_comparison, long_labels, tmp_path_factory):
    """A page of ten models with all there can be, the comparison and the files."""
    comparison = make_comparison(
        long_labels,
        ratios=(0.1, 0.2),
        failures={(long_labels[3], 2022): "out of <memory> </script>"},
    )
    tables = {
        "Results & <more>": (
            "| model | NDCG@10 |\n| --- | ---: |\n"
            "| a\\|b | **0.2** |\n| &lt;u>c&lt;/u> <script>x</script> | <u>0.1</u> |\n\nA note.\n"
        ),
        "Links": "see [here](http://example.org) ![picture](http://example.org/a.png)",
    }
    folder = tmp_path_factory.mktemp("page")
    return comparison, folder, page.write(comparison, folder, tables)


def test_all_pictures_are_written_and_the_page_is_whole(whole):
    _, folder, written = whole
    assert [path.name for path in written] == [*(f"{name}.png" for name in PICTURES), "page.html"]
    assert set(folder.iterdir()) == set(written)
    text, reader = read(folder / "page.html")
    assert list(figures(text)) == [f"chart-{name}" for name in PICTURES]
    ids = [found.get("id") for tag, found in reader.tags if tag == "div"]
    assert set(figures(text)) <= set(ids)


def test_the_page_carries_plotly_and_draws_every_figure(whole):
    text = (whole[1] / "page.html").read_text("utf-8")
    assert text.count("plotly.js v") >= 1
    assert 'querySelectorAll("script.figure")' in text
    assert 'matchMedia("(prefers-color-scheme: dark)")' in text
    assert len(text) < 8_000_000


def test_the_header_names_data_seeds_and_protocol(whole):
    comparison, folder, _ = whole
    _, reader = read(folder / "page.html")
    names, told = ([t for t in reader.text[tag] if t.strip()] for tag in ("dt", "dd"))
    lines = dict(zip(names, told, strict=True))
    assert reader.text["h1"] == ["Comparison on amazon-toys"]
    assert lines["Models"] == ", ".join(comparison.labels)
    assert lines["Seeds"] == "2020, 2021"
    assert lines["Tested against"] == comparison.labels[0]
    assert "300 test targets of 300 users" in lines["Protocol"]
    assert "items of the history not masked" in lines["Protocol"]


def test_a_page_of_the_direct_task_says_what_was_ranked(make_comparison, tmp_path):
    drawn = {"negatives": 99, "seed": 4, "hash": "0123456789abcdef"}
    paths = {}
    for name, candidates in (("direct", drawn), ("all", None)):
        comparison = make_comparison(["A", "B"], (1,), candidates=candidates)
        paths[name] = page.write(comparison, tmp_path / name, {})
    _, reader = read(tmp_path / "direct/page.html")
    assert reader.text["h1"] == ["Comparison on amazon-toys, 1 + 99 candidates"]
    assert all(title.endswith(", 1 + 99 candidates") for title in reader.text["h2"])
    protocol = " ".join(reader.text["dd"])
    assert "1 + 99 candidates, items outside the user's full history" in protocol
    assert "seed 4, hash 0123456789)" in protocol
    assert "all items ranked" not in protocol
    for direct, usual in zip(paths["direct"][:-1], paths["all"][:-1], strict=True):
        # A line on top of each picture.
        assert Image.open(direct).height == Image.open(usual).height + 30


def test_tables_keep_bold_and_underline_and_show_other_tags(whole):
    text, reader = read(whole[1] / "page.html")
    assert "<strong>0.2</strong>" in text
    assert reader.text["u"] == ["0.1"]  # the label's own <u> is text
    cells = "".join(reader.text["td"])
    assert "a|b" in cells
    assert "<u>c</u> <script>x</script>" in cells
    assert "A note." in reader.text["p"]
    assert "Results & <more>" in reader.text["h2"]
    assert reader.all("td", "style").count("text-align:right") == 2


def test_a_failed_run_says_why(whole):
    _, reader = read(whole[1] / "page.html")
    assert "out of <memory> </script>" in "".join(reader.text["li"])


def test_a_label_cannot_end_a_script(make_comparison, tmp_path):
    label = "</script><script>alert('x')</script><!--"
    page.write(make_comparison([label], (1,)), tmp_path, {})
    text, _ = read(tmp_path / "page.html")
    assert "alert('x')</script>" not in text
    assert figures(text)["chart-cost"].data[0].name == label.replace("<", "&lt;").replace(
        ">", "&gt;"
    )


def test_one_model_one_seed_no_noise_no_tables(make_comparison, tmp_path):
    comparison = make_comparison(
        ["Pop"], (1,), ("hit@1",), n=5, inference_seconds={}, reference=None
    )
    comparison.results["Pop", 1]["approximations"] = ["windows: strided"]
    page.write(comparison, tmp_path, {})
    text, reader = read(tmp_path / "page.html")
    assert list(figures(text)) == [f"chart-{name}" for name in PICTURES[:-1]]
    assert "windows: strided" in reader.text["dd"]
    assert not (tmp_path / "noise.png").exists()


def test_where_every_run_failed_the_page_says_so(make_comparison, tmp_path):
    comparison = make_comparison(["A"], (1,), failures={("A", 1): "no room"})
    comparison = dataclasses.replace(comparison, results={}, ranks={})
    assert page.write(comparison, tmp_path, {}) == [tmp_path / "page.html"]
    text, reader = read(tmp_path / "page.html")
    assert figures(text) == {}
    assert ", seed 1: no room" in reader.text["li"]
    assert len(text) < 10_000  # without plotly.js


@pytest.mark.parametrize("library", ["plotly", "markdown_it"])
def test_a_library_that_lacks_is_named(make_comparison, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"needs {library}: pip install"):
        page.write(make_comparison(["A"]), tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_real_runs(tiny_path, tmp_path):
    """A model that learns, and one that only counts, beside a run that failed."""
    results, ranks = {}, {}
    for label in ("Pop", "SASRec"):
        options = {
            "data_path": str(tiny_path),
            "device": "cpu",
            "epochs": 2,
            "hidden_size": 16,
            "MAX_ITEM_LIST_LENGTH": 8,
            "show_progress": False,
            "tensorboard": False,
        }
        if label == "Pop":
            del options["hidden_size"], options["MAX_ITEM_LIST_LENGTH"]
        done = run(label, "tiny", overrides=options, output=tmp_path / label)
        results[label, 2020] = done.result
        ranks[label, 2020] = Ranks.load(done.folder / "ranks.npz")
    n = len(ranks["Pop", 2020])
    target = ranks["Pop", 2020].target
    comparison = Comparison(
        dataset="tiny",
        labels=["Pop", "SASRec", "BERT4Rec"],
        seeds=[2020],
        metrics=["recall@10", "ndcg@10"],
        results=results,
        ranks=ranks,
        failures={("BERT4Rec", 2020): "killed"},
        history_length=ranks["Pop", 2020].user % 7 + 1,
        item_popularity=target,
        noise={("SASRec", 2020): {("replace", 0.2): results["SASRec", 2020]["test"]}},
        inference_seconds={"SASRec": 0.01},
        reference="SASRec",
    )
    written = page.write(comparison, tmp_path / "out", {})
    assert len(written) == 7
    text, reader = read(tmp_path / "out/page.html")
    assert f"{n} test targets" in " ".join(reader.text["dd"])
    found = figures(text)
    assert [trace.name for trace in found["chart-cost"].data] == ["Pop", "SASRec"]
    assert [trace.name for trace in found["chart-noise"].data] == ["SASRec"]
    curve = next(trace for trace in found["chart-curves"].data if trace.name == "SASRec")
    valid = [record["valid"]["ndcg@10"] for record in results["SASRec", 2020]["history"]]
    assert list(curve.y) == pytest.approx(valid)
