"""What README and docs/ tell people to type works as it stands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_intent.cli.commands import COMMANDS as TABLE
from recbole_intent.cli.commands import TRAIN
from recbole_intent.cli.options import Asked, parse
from recbole_intent.compare.entries import read_entries
from recbole_intent.compare.reproduce.paper_file import read_paper_table
from recbole_intent.config.config import Config
from recbole_intent.config.registry import get_spec
from recbole_intent.tune.space import read_space
from tests.fixtures.pages import BLOCKS, ROOT, commands

SNIPPETS = [b.text for b in BLOCKS if b.kind == "python" and b.page == "README.md"]
(OWN_MODEL,) = (b.text for b in BLOCKS if "class MyModel" in b.text and b.page == "docs/own.md")
README = [block for block in BLOCKS if block.page == "README.md"]
COMMANDS = [list(words) for words in commands(BLOCKS) if words]


def _asking(word: str, *firsts: str) -> list[list[str]]:
    """The commands with a word, one for each first word; pages may repeat them in any order."""
    having = {words[0]: words for words in COMMANDS if word in words}
    return [having[first] for first in firsts]


def run_in(folder: Path, *arguments: str) -> str:
    """Run Python in an empty folder; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readme_has_snippets_and_commands() -> None:
    assert len(SNIPPETS) == 1
    assert len(commands(README)) == 5


def test_python_api_snippets_train_print_the_metric_and_recommend(tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(SNIPPETS[0], "utf-8")
    first, *tables = run_in(tmp_path, "snippet.py").splitlines()
    folder, metric = first.split()
    assert (tmp_path / folder / "result.json").is_file()
    assert 0 < float(metric) < 1
    assert len(tables) == 2 * (1 + 2 * 3)  # a header, and three items for each of two
    assert all("item_id" in tables[header] for header in (0, 7))


def test_own_model_snippet_trains(tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(OWN_MODEL, "utf-8")
    assert "recall@10" in run_in(tmp_path, "snippet.py")
    (result,) = tmp_path.glob("saved/MyModel-ml-100k-*/result.json")
    assert json.loads(result.read_text("utf-8"))["epochs"] == 1


@pytest.mark.parametrize("words", [c for c in COMMANDS if c[0][:2] in ("-m", "--")])
def test_run_commands_have_known_keys(words: list[str]) -> None:
    asked = parse(TRAIN, words)
    config = Config(asked.options["model"], asked.options["dataset"], config_dict=asked.keys)
    assert config["model"] == asked.options["model"]
    assert asked.options.keys() == {"model", "dataset"}


def asked_of(words: list[str]) -> Asked:
    (command,) = (command for command in TABLE if command.name == words[0])
    return parse(command, words[1:])


def test_compare_and_tune_commands_are_understood() -> None:
    compare, table, tune = (c for c in commands(README) if c[0] in ("compare", "tune"))
    (direct,) = (c for c in COMMANDS if c[:2] == ["compare", "--task=direct"])
    for command, models in (
        (compare, ["IGRSR", "SASRec", "GRU4Rec"]),
        (direct, ["LightGCN", "BPR", "SASRec"]),
    ):
        options = asked_of(command).options
        entries = read_entries(options["models"], None, options["dataset"])
        assert [get_spec(entry.model).name for entry in entries] == models
    assert direct[1] == "--task=direct"
    assert read_paper_table(asked_of(table).options["reproduce"])["rows"]
    space, _ = read_space(asked_of(tune).options["model"], None)
    assert "n_prefix" in space


def test_small_run_then_evaluate_under_noise_and_recommend(tmp_path: Path) -> None:
    """The README's ml-100k run, and the commands on the folder that the run names."""
    (train,) = (c for c in commands(README) if c[0] == "-m")
    (evaluate,) = (c for c in COMMANDS if c[0] == "evaluate" and "noise" in c[-1])
    script = str(ROOT / "run_recbole_intent.py")
    out = run_in(tmp_path, script, *train, "--show_progress=False")
    folder = out.rsplit("results: ", 1)[1].strip()
    words = [word.replace("saved/…", folder) for word in evaluate]
    out = run_in(tmp_path, script, *words)
    assert "ndcg@10" in out
    assert len(list((tmp_path / folder / "evaluations").glob("*.json"))) == 1
    (tmp_path / "new.jsonl").write_text('["50", "172"]\n')
    of_users, to_file, to_screen = (
        run_in(tmp_path, script, *(word.replace("saved/…", folder) for word in words))
        for words in COMMANDS
        if words[0] == "recommend"
    )
    assert to_file == "9430 recommendations for 943 histories: recs.parquet\n"
    assert (tmp_path / "recs.parquet").is_file()
    assert len(of_users.splitlines()) == 2 * (1 + 5)
    assert len(to_screen.splitlines()) == 1 + 5


def test_sessions_get_intents_and_train(tmp_path: Path) -> None:
    """The three commands in their order; the training made short."""
    script = str(ROOT / "run_recbole_intent.py")
    data = "--dataset=ml-100k-sessions"
    prepare, train = _asking(data, "prepare", "--model=VELI4SBR")
    (enrich,) = _asking("--for=VELI4SBR", "enrich")
    assert data in enrich
    assert "5,318" in run_in(tmp_path, script, *prepare)
    assert "metadata" in run_in(tmp_path, script, *enrich)
    short = ["--epochs=1", "--passes=4", "--hidden_size=16", "--inner_size=16", "--n_layers=1"]
    out = run_in(tmp_path, script, *train, *short, "--show_progress=False")
    assert "VELI4SBR valid" in out


def test_texts_get_vectors_and_a_t5_trains(tmp_path: Path) -> None:
    """The three commands in their order; texts and training made short."""
    script = str(ROOT / "run_recbole_intent.py")
    run_in(tmp_path, script, "prepare", "--dataset=ml-100k")
    enrich, train = _asking("--semantics=metadata", "enrich", "--model=ISRF")
    out = run_in(tmp_path, script, *enrich, "--users_sample=2")
    assert "1,682" in out
    short = ["--epochs=1", "--hidden_size=16", "--inner_size=16", "--n_layers=1", "--n_heads=2"]
    short += [
        "--train_targets=2",
        "--gcn_layers=1",
        "--n_similar_users=5",
        "--train_batch_size=512",
    ]
    out = run_in(tmp_path, script, *train, *short, "--show_progress=False")
    assert "ISRF valid" in out


def test_prepare_command_on_the_real_files(tmp_path: Path, shared_datasets: Path) -> None:
    (words,) = (c for c in COMMANDS if c[0] == "prepare" and "--source=PATH" in c)
    words = [word.replace("PATH", str(shared_datasets / "amazon-toys")) for word in words]
    out = run_in(tmp_path, str(ROOT / "run_recbole_intent.py"), *words)
    assert "19,412" in out
    assert "167,597" in out
