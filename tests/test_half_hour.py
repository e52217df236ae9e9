"""A new user's first half hour: a run, own ratings, a comparison, its page, recommendations.

`test_packaging.py` installs the package, `test_notebooks.py` runs the notebooks.
"""

import importlib.resources
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recbole_intent import Recommender
from recbole_intent.cli.main import main
from tests.fixtures.browser import Browser, chromium

TINY = [
    *("--epochs=1", "--hidden_size=8", "--inner_size=16", "--MAX_ITEM_LIST_LENGTH=10"),
    *("--train_batch_size=512", "--tensorboard=False", "--show_progress=False", "--device=cpu"),
]
TELEPHONE = 390  # CSS pixels


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """An empty folder with a `ratings.csv` as MovieLens gives it: 60 users of ml-100k."""
    folder = tmp_path_factory.mktemp("home")
    data = importlib.resources.files("recbole") / "dataset_example/ml-100k/ml-100k.inter"
    rows = [line.split("\t") for line in data.read_text("utf-8").splitlines()[1:]]
    lines = [f"{u},{i},{float(r)},{int(float(t))}" for u, i, r, t in rows if int(u) <= 60]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
    return folder


@pytest.fixture(scope="module")
def typed(home):
    """Type a command in that folder; returns what it printed."""

    def run(capsys, monkeypatch, *words: str) -> str:
        monkeypatch.chdir(home)
        capsys.readouterr()
        assert main(list(words)) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def page(home) -> Path:
    """The page of the comparison, made by the test before."""
    (path,) = home.glob("saved/compare-mine-*/page.html")
    return path


def test_a_first_run(typed, home, capsys, monkeypatch):
    short = ["--passes=1", "--windows=strided"]
    out = typed(capsys, monkeypatch, "-m", "SASRec", "-d", "ml-100k", *TINY, *short)
    folder = out.rsplit("results: ", 1)[1].strip()
    assert (home / folder / "result.json").is_file()
    out = typed(capsys, monkeypatch, "recommend", folder, "--users=196,22", "--k=3")
    assert len(out.splitlines()) == 2 * (1 + 3)


def test_own_ratings_are_prepared_at_the_first_try(typed, home, capsys, monkeypatch):
    out = typed(capsys, monkeypatch, "prepare", "--dataset=mine", "--source=ratings.csv")
    n_ratings = len((home / "ratings.csv").read_text().splitlines()) - 1
    assert f"{n_ratings:,}" in out
    assert re.search(r"users +60\b", out)


def test_a_comparison_with_pop(typed, home, capsys, monkeypatch):
    words = ["compare", "-m", "SASRec", "Pop", "-d", "mine", *TINY]
    out = typed(capsys, monkeypatch, *words)
    *lines, last = out.rstrip().splitlines()
    assert max(map(len, lines)) <= 80
    assert re.search(r"^\| SASRec +\| +[+−]?[\d.]+ % \(p [<.\d]+\)", out, re.MULTILINE)
    assert out.count("Pop has no hidden_size") == 1
    report, picture = re.fullmatch(r"all tables: (.*), with pictures: (.*)", last).groups()
    assert (home / report).is_file()
    assert (home / picture).is_file()


def test_recommendations_take_and_give_the_ids_of_the_file(home, monkeypatch):
    monkeypatch.chdir(home)
    (folder,) = home.glob("saved/SASRec-mine-*")
    recommender = Recommender.load(folder)
    table = recommender.recommend_users([1, 2], k=3)
    assert table["user_id"].tolist() == ["1"] * 3 + ["2"] * 3
    seen = {(u, i) for u, i, *_ in (x.split(",") for x in Path("ratings.csv").read_text().split())}
    assert not seen & set(zip(table["user_id"], table["item_id"], strict=True))
    assert recommender.recommend([[50, 172]], k=3).equals(recommender.recommend([["50", "172"]], 3))


class Frames(HTMLParser):
    """Notes the classes of the elements around each table, picture and command."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.around: list[str] = []
        self.found: list[tuple[str, set[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag in ("meta", "br", "input", "hr"):
            return
        if tag in ("table", "svg", "pre"):
            self.found.append((tag, {name for classes in self.around for name in classes.split()}))
        self.around.append(dict(attributes).get("class") or "")

    def handle_endtag(self, tag):
        self.around.pop()


def test_the_page_stands_alone_and_fits_its_frames(page):
    """By its text; the next test looks at it in a browser."""
    text = page.read_text("utf-8")
    loads = re.findall(r'(?:src|href)="([^"#][^"]*)"|url\(([^)#]+)\)|@import ([^;]+)', text)
    assert not [found for found in loads if re.match(r"\w+:|//", "".join(found))]
    frames = Frames(text)
    assert {tag for tag, _ in frames.found} >= {"table", "svg"}
    rules = dict(re.findall(r"^([^{}\n@]+) \{([^}]*)\}", text, re.MULTILINE))
    for tag, classes in frames.found:
        frame = {"table": ".frame", "svg": ".version", "pre": "pre"}[tag]
        assert frame == "pre" or frame[1:] in classes
        assert "overflow-x: auto" in rules[frame]  # a wide one scrolls, not the page
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= ids
    script = text.rsplit("<script>", 1)[1]
    assert set(re.findall(r'getElementById\("([^"]+)"\)|"#([\w-]+)"', script)) <= ids
    for name in re.findall(r'querySelector\("\.([\w-]+)"\)', script):
        assert f'class="{name}"' in text


def test_the_page_in_a_browser_of_a_telephones_width(page, tmp_path):
    path = chromium()
    if path is None:
        pytest.skip("no browser: install chromium to run this test")
    browser = Browser(path, tmp_path, TELEPHONE)
    try:
        browser.open(page.as_uri())
        assert browser.value("document.documentElement.scrollWidth") <= TELEPHONE
        assert browser.value("document.querySelectorAll('svg').length") > 3
        shown = "[...document.querySelectorAll('.version')].filter(v => !v.hidden).length"
        before = browser.value(shown)
        browser.value("document.querySelectorAll('[name=metric]')[1].click()")
        assert browser.value(shown) == before > 0
        column = (
            "[...document.querySelector('table').tBodies[0].rows].map(r => r.cells[2].textContent)"
        )
        browser.value(
            "document.querySelectorAll('table')[0].querySelectorAll('th button')[2].click()"
        )
        one = browser.value(column)
        browser.value(
            "document.querySelectorAll('table')[0].querySelectorAll('th button')[2].click()"
        )
        assert browser.value(column) == one[::-1]
        assert browser.value("document.documentElement.scrollWidth") <= TELEPHONE
        assert browser.errors == []
        assert set(browser.requests) == {page.as_uri()}
    finally:
        browser.close()
