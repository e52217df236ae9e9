"""`enrich` on the command line: its report, its exit codes, its mistakes."""

import pytest

from recbole_intent.cli.main import main

ROWS = "".join(f"s{n}\ti{(n + t) % 9}\t{10 * n + t}\n" for n in range(12) for t in range(4))


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """A session dataset `mine` in ./dataset, with categories of most items."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "dataset" / "mine"
    folder.mkdir(parents=True)
    (folder / "mine.inter").write_text(f"user_id:token\titem_id:token\ttimestamp:float\n{ROWS}")
    parts = [f"s{n}\t{'train' if n < 10 else 'valid' if n < 11 else 'test'}" for n in range(12)]
    (folder / "mine.split").write_text("\n".join(["user_id:token\tpart:token", *parts]) + "\n")
    (folder / "mine.yaml").write_text("session_split: True\n")
    items = [f"i{n}\titem {n}\t{'AB'[n % 2] if n < 4 else ''}" for n in range(9)]
    header = "item_id:token\ttitle:token_seq\tcategories:token_seq"
    (folder / "mine.item").write_text("\n".join([header, *items]) + "\n")
    return folder


WORDS = ["enrich", "--for=VELI4SBR", "--dataset=mine"]


def test_the_report_and_the_files(mine, capsys):
    assert main([*WORDS, "--intents=metadata", "--limit=3"]) == 0
    out = capsys.readouterr().out
    assert "# Intents of mine by metadata" in out
    assert "3 of 3 sessions (100.0%) have intents; training has 10 sessions." in out
    assert "files: dataset/mine/mine.intent" in out
    assert {path.name for path in mine.glob("mine.i*")} == {
        "mine.inter",
        "mine.item",
        "mine.intent",
        "mine.intent_pool",
        "mine.item_feature",
        "mine.intent.manifest.json",
        "mine.intent.report.md",
    }
    assert not (mine / "lock").exists()


def test_too_few_intents_end_with_1(mine, capsys):
    assert main([*WORDS, "--intents=metadata", "--min_coverage=0.99", "--output=out"]) == 1
    captured = capsys.readouterr()
    assert "fewer than --min_coverage=0.99; the files are written all the same" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert main([*WORDS, "--intents=metadata", "--min_coverage=0.1", "--output=out"]) == 0


def test_products_by_name(mine, capsys):
    """`enrich intents` is what `--for=VELI4SBR` does; texts and vectors are two steps."""
    assert main(["enrich", "intents", "-d", "mine", "--intents=metadata", "--limit=3"]) == 0
    assert "files: dataset/mine/mine.intent" in capsys.readouterr().out
    for suffix in (".split", ".yaml"):
        (mine / f"mine{suffix}").unlink()
    assert main(["enrich", "profiles", "--dataset=mine", "--semantics=metadata"]) == 0
    assert (mine / "mine.item_profile").is_file()
    assert not list(mine.glob("*.npz"))


def test_help_needs_nothing(capsys):
    for words in (["enrich"], ["enrich", "--help"]):
        assert main(words) == 0
        assert capsys.readouterr().out.startswith("usage: recbole_intent enrich ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset=mine"], "--for=: what the files are for: VELI4SBR"),
        (["--for=IGRSR", "--dataset=mine"], "--for=IGRSR: what the files are for"),
        (["--for=VELI4SBR"], "--dataset=… is missing"),
        (["entents", "--dataset=mine"], "entents: not of the form"),
        (["profiles", "--dataset=mine", "--steps=all"], "--steps=all: `enrich profiles` and"),
        (["vectors", "--dataset=mine", "--window=3"], "--window: unknown option of enrich"),
        ([*WORDS[1:], "--fresh"], "--fresh: not an option of enrich"),
        ([*WORDS[1:], "--llm.modle=x"], "did you mean llm.model?"),
        ([*WORDS[1:], "--window=few"], "window: 'few'"),
        ([*WORDS[1:], "--config_files=no.yaml"], "no.yaml: no such configuration file"),
        (WORDS[1:], "--llm.model=… is missing"),
        (["--for=VELI4SBR", "--dataset=nothing"], "dataset/nothing/nothing.inter: no such file"),
        ([*WORDS[1:], "--llm.model=m", "--llm.api_key_env=NO_SUCH_KEY_HERE"], "NO_SUCH_KEY_HERE"),
        (
            ["--for=ISRF", "--dataset=mine", "--semantics=metadata"],
            "use a dataset prepared without --sessions",
        ),
        (["--for=ISRF", "--dataset=mine", "--users_smaple=3"], "did you mean users_sample?"),
        (["--for=ISRF", "--dataset=nothing"], "dataset/nothing/nothing.inter: no such file"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(mine, capsys, words, message):
    before = sorted(mine.iterdir())
    assert main(["enrich", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert sorted(mine.iterdir()) == before


def test_texts_for_isrf(mine, capsys):
    for suffix in (".split", ".yaml"):
        (mine / f"mine{suffix}").unlink()
    words = ["enrich", "--for=ISRF", "--dataset=mine", "--semantics=metadata", "--steps=texts"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "# Texts of mine by metadata" in out
    assert "Users: 12, all by metadata." in out
    assert "files: dataset/mine/mine.item_profile" in out
    assert {path.name for path in mine.iterdir()} == {
        "mine.inter",
        "mine.item",
        "mine.item_profile",
        "mine.user_profile",
        "mine.profile.manifest.json",
        "mine.profile.report.md",
    }
