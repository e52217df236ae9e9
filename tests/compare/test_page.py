"""The page stands alone: whole HTML, nothing from the network, no text of a user read as code."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from recbole_intent.compare import page
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.plotting.tables import Cell, Table
from recbole_intent.runs.experiment import run

VOID = {"meta", "br", "link", "img", "input", "hr"}
PICTURES = ["metrics", "cost", "curves", "noise", "history_length", "item_popularity"]


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
    """The page, checked, and what was read in it."""
    text = path.read_text("utf-8")
    reader = Reader(text)
    ids = [found["id"] for _, found in reader.tags if "id" in found]
    assert len(ids) == len(set(ids))
    links = reader.all("a", "href") + reader.all("use", "href")
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    # Nothing is loaded: no address in any attribute or style, but for links to files of ours.
    for tag, found in reader.tags:
        assert "src" not in found
        assert tag not in ("link", "img", "image", "iframe", "object")
        assert not any(name.startswith("on") for name in found)
        for name in ("href", "xlink:href"):
            assert not re.match(r"\w+:|/", found.get(name) or "")
    assert "://" not in "".join(reader.text["style"] + reader.text.get("script", []))
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "@import" not in text
    assert len(text.encode()) < 1_500_000
    return text, reader


def charts(reader: Reader) -> list[str]:
    return [found["id"] for tag, found in reader.tags if found.get("class") == "chart"]


@pytest.fixture(scope="module")
def whole(make_comparison, long_labels, tmp_path_factory):
    """A page of ten models with all there can be, the comparison and the files."""
    comparison = make_comparison(
        long_labels,
        metrics=("recall@10", "ndcg@5", "ndcg@10"),
        ratios=(0.1, 0.2),
        failures={(long_labels[3], 2022): "out of <memory> </script>"},
    )
    tables = [
        Table(
            "Results & <more>",
            ["model", "NDCG@10"],
            [
                ["a|b", Cell("0.2", bold=True)],
                ["<u>c</u> <script>x</script>", Cell("0.1", underlined=True)],
            ],
            [],
            ["A note."],
        ),
        Table("Links", ["a", "b"], [["see [here](http://example.org)", "<img src=x>"]], []),
    ]
    folder = tmp_path_factory.mktemp("page")
    runs = {key: folder.parent / "saved" / f"{i} #?" for i, key in enumerate(comparison.results)}
    return comparison, folder, page.write(comparison, folder, tables, ["compare", "<x>"], runs)


def test_all_pictures_are_written_and_the_page_is_whole(whole):
    _, folder, written = whole
    assert [path.name for path in written] == [*(f"{name}.png" for name in PICTURES), "page.html"]
    assert set(folder.iterdir()) == set(written)
    _, reader = read(folder / "page.html")
    assert charts(reader) == PICTURES


def test_charts_come_first_with_a_version_for_each_metric(whole):
    text, reader = read(whole[1] / "page.html")
    assert text.index('class="chart"') < text.index("<table")
    radios = [found["value"] for tag, found in reader.tags if found.get("name") == "metric"]
    assert radios == ["ndcg@10", "recall@10"]
    versions = [found for _, found in reader.tags if found.get("class") == "version"]
    assert [found["data-metric"] for found in versions] == radios * len(PICTURES)
    assert [found["data-metric"] for found in versions if "hidden" not in found] == [
        "ndcg@10"
    ] * len(PICTURES)
    assert "prefers-color-scheme: dark" in reader.text["style"][0]


def test_every_model_has_one_switch_for_all_its_marks(whole):
    comparison, folder, _ = whole
    _, reader = read(folder / "page.html")
    boxes = [found["value"] for _, found in reader.tags if found.get("name") == "model"]
    assert boxes == comparison.labels
    marks = {found["data-model"] for _, found in reader.tags if "data-model" in found}
    assert marks == set(comparison.labels)


def test_runs_command_and_configurations_are_linked(whole):
    comparison, folder, _ = whole
    _, reader = read(folder / "page.html")
    links = [link for link in reader.all("a", "href") if not link.startswith("#")]
    assert len(links) == 3 * len(comparison.results)
    assert links[0] == "../saved/0%20%23%3F/"
    assert links[1] == "../saved/0%20%23%3F/config.yaml"
    assert reader.text["pre"] == ["recbole_intent compare '<x>'"]


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_figures_in_other_formats(make_comparison, tmp_path, kind):
    comparison = make_comparison(["A"], (1,), ("ndcg@10",))
    written = page.write(comparison, tmp_path, [], figures=kind)
    names = [f"{name}.{kind}" for name in PICTURES if name != "noise"]
    assert [path.name for path in written] == [*names, "page.html"]
    assert set(tmp_path.iterdir()) == set(written)


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
    page.write(make_comparison(["A"], (1,), ("ndcg@10",), candidates=drawn), tmp_path, [])
    text, reader = read(tmp_path / "page.html")
    assert reader.text["h1"] == ["Comparison on amazon-toys, 1 + 99 candidates"]
    protocol = " ".join(reader.text["dd"])
    assert "1 + 99 candidates, items outside the user's full history" in protocol
    assert "seed 4, hash 0123456789)" in protocol
    assert "all items ranked" not in protocol
    # A figure may be copied without its page, so its title says what was measured.
    titles = reader.all("svg", "aria-label")
    assert set(titles) == {"amazon-toys, seed 1, 1 + 99 candidates"}
    assert text.count(">amazon-toys, seed 1, 1 + 99 candidates</text>") == len(titles)


def test_tables_keep_bold_and_underline_and_show_tags(whole):
    text, reader = read(whole[1] / "page.html")
    assert "<strong>0.2</strong>" in text
    assert reader.text["u"] == ["0.1"]  # the label's own <u> is text
    cells = "".join(reader.text["td"])
    assert "a|b" in cells
    assert "<u>c</u> <script>x</script>" in cells
    assert "see [here](http://example.org)<img src=x>" in cells
    assert "A note." in reader.text["p"]
    assert "Results & <more>" in reader.text["h2"]


def test_a_failed_run_says_why(whole):
    _, reader = read(whole[1] / "page.html")
    assert "out of <memory> </script>" in "".join(reader.text["li"])


def test_a_label_cannot_end_a_script(make_comparison, tmp_path):
    label = "</script><script>alert('x')</script><!--"
    page.write(make_comparison([label, "B"], (1,), ("ndcg@10",)), tmp_path, [])
    text, reader = read(tmp_path / "page.html")
    assert "<script>alert('x')" not in text
    assert label in {found.get("data-model") for _, found in reader.tags}


def test_one_model_one_seed_no_noise_no_tables(make_comparison, tmp_path):
    comparison = make_comparison(
        ["Pop"], (1,), ("hit@1",), n=5, inference_seconds={}, reference=None
    )
    comparison.results["Pop", 1]["approximations"] = ["windows: strided"]
    page.write(comparison, tmp_path, [])
    _, reader = read(tmp_path / "page.html")
    assert charts(reader) == [name for name in PICTURES if name != "noise"]
    assert "windows: strided" in reader.text["dd"]
    assert not reader.all("input", "name")  # nothing to choose
    assert not (tmp_path / "noise.png").exists()


def test_where_every_run_failed_the_page_says_so(make_comparison, tmp_path):
    comparison = make_comparison(["A"], (1,), failures={("A", 1): "no room"})
    comparison = dataclasses.replace(comparison, results={}, ranks={})
    assert page.write(comparison, tmp_path, []) == [tmp_path / "page.html"]
    text, reader = read(tmp_path / "page.html")
    assert charts(reader) == []
    assert ", seed 1: no room" in reader.text["li"]
    assert len(text) < 10_000


def test_a_large_page_leaves_out_metrics(make_comparison, tmp_path, monkeypatch):
    monkeypatch.setattr("recbole_intent.plotting.page._MOST_CHARTS", 50_000)
    page.write(make_comparison(["A"], (1,), ("mrr@10", "ndcg@10")), tmp_path, [])
    _, reader = read(tmp_path / "page.html")
    radios = [found["value"] for _, found in reader.tags if found.get("name") == "metric"]
    versions = {found["data-metric"] for _, found in reader.tags if "data-metric" in found}
    assert versions == {"ndcg@10"}
    assert not radios


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
        noise_ranks={("SASRec", 2020): {("replace", 0.2): ranks["SASRec", 2020]}},
        inference_seconds={"SASRec": 0.01},
        reference="SASRec",
    )
    written = page.write(comparison, tmp_path / "out", [])
    assert len(written) == 7
    _, reader = read(tmp_path / "out/page.html")
    assert f"{n} test targets" in " ".join(reader.text["dd"])
    drawn = page.draw(comparison, "ndcg@10", comparison.metrics)
    assert {label for label, _ in drawn["cost"].marks} == {"Pop", "SASRec"}
    assert {label for label, _ in drawn["noise"].marks} == {"SASRec"}
    valid = [record["valid"]["ndcg@10"] for record in results["SASRec", 2020]["history"]]
    curves = [list(line.get_ydata()) for line in drawn["curves"].panels.flat[0].lines]
    assert pytest.approx(valid) in curves
