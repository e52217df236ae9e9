"""The command: files and screen, and a process that is killed or fed with mistakes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_intent.cli.main import main
from recbole_intent.recommend.asked_histories import CHUNK
from recbole_intent.recommend.recommender import Recommender
from recbole_intent.runs.experiment import run

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds until a test gives up on a process; nothing depends on its value
SMALL = {
    "device": "cpu",
    "threads": 1,
    "epochs": 1,
    "show_progress": False,
    "tensorboard": False,
    "MAX_ITEM_LIST_LENGTH": 8,
    "hidden_size": 16,
    "inner_size": 16,
}


@pytest.fixture(scope="module")
def trained(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory):
    """Folder of a small run of SASRec, IGRSR or VELI4SBR on `tiny`."""
    saved, made = tmp_path_factory.mktemp("saved"), {}

    def folder(model: str = "SASRec") -> Path:
        if model not in made:
            options = {**SMALL, "data_path": str(tiny_path), "checkpoint_dir": str(saved)}
            options |= {"distiller_size": 8} if model == "IGRSR" else {}
            made[model] = run(model, "tiny", overrides=options).folder
        return made[model]

    return folder


@pytest.fixture
def command(trained, capsys):
    """Run `recommend`; returns exit code, output and errors."""

    def recommend(*words: str, model: str = "SASRec") -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["recommend", f"--run={trained(model)}", *words])
        return code, *capsys.readouterr()

    return recommend


def test_all_users_to_a_file_are_what_python_gives(command, trained, tmp_path):
    path = tmp_path / "new/recs.parquet"
    code, out, _ = command("--users=all", "--k=3", f"--output={path}", "--history=valid")
    assert code == 0
    assert out == f"180 recommendations for 60 histories: {path}\n"
    expected = Recommender.load(trained(), history="valid").recommend_users(None, 3)
    pd.testing.assert_frame_equal(pd.read_parquet(path), expected, check_dtype=False)
    assert [path.name for path in path.parent.iterdir()] == ["recs.parquet"]


def test_users_and_histories_of_files(command, write, tmp_path):
    users = write("users.txt", "u9\nu3\n")
    histories = write("h.jsonl", '{"user": "Zoë", "items": ["i1", "i2"]}\n[]\n')
    code, _, _ = command(f"--users={users}", f"--output={tmp_path / 'u.csv'}")
    assert code == 0
    table = pd.read_csv(tmp_path / "u.csv")
    assert table["user_id"].unique().tolist() == ["u9", "u3"]
    assert len(table) == 20
    code, _, _ = command(f"--histories={histories}", f"--output={tmp_path / 'h.jsonl'}", "--k=99")
    assert code == 0
    rows = [json.loads(line) for line in (tmp_path / "h.jsonl").read_text("utf-8").splitlines()]
    assert [row["user_id"] for row in rows] == ["Zoë"] * 38 + [None] * 40
    assert [row["source"] for row in rows] == ["model"] * 38 + ["popular"] * 40


def test_histories_in_tables_and_users_on_the_command_line(command, tmp_path):
    table = pd.DataFrame(
        {
            "timestamp": [20, 10, 10, 20],
            "item_id": ["i2", "i5", "i1", "i6"],
            "user_id": ["b", "a", "b", "a"],
        }
    )
    (tmp_path / "h.jsonl").write_text('{"user": "b", "items": ["i1", "i2"]}\n["i5", "i6"]\n')
    table.to_csv(tmp_path / "h.csv", index=False)
    table.to_csv(tmp_path / "h.tsv", index=False, sep="\t")
    table.rename(columns=lambda name: f"{name}:token").to_csv(
        tmp_path / "h.inter", index=False, sep="\t"
    )
    table.to_parquet(tmp_path / "h.parquet")
    shown = []
    for name in ("h.jsonl", "h.csv", "h.tsv", "h.inter", "h.parquet"):
        code, out, err = command(f"--histories={tmp_path / name}", "--k=2")
        assert (code, err) == (0, "")
        shown.append([line for line in out.splitlines() if line.startswith(" ")])
    assert shown == [shown[0]] * 5
    code, out, _ = command("--users=u9, u3", "--k=1")
    assert code == 0
    assert [line.split(",")[0] for line in out.splitlines()[::2]] == ["user u9", "user u3"]
    (tmp_path / "short.csv").write_text("user_id,item_id\na\n")
    code, _, err = command(f"--histories={tmp_path / 'short.csv'}")
    assert code == 2
    assert "short.csv:2: 1 fields, the header has 2" in err


def test_the_screen_shows_the_first_lists(command, write):
    code, out, _ = command("--users=all", "--k=2")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 5 * 3 + 1
    assert lines[0].startswith("user u0, ")
    assert lines[-1] == "(no more than 5 are shown; --output=FILE writes all)"
    histories = write("h.csv", "i1,i2\n")
    code, out, _ = command(f"--histories={histories}", "--k=2", "--index=faiss")
    assert code == 0
    assert out.splitlines()[0] == "history 1, 2 known items:"
    assert len(out.splitlines()) == 3


def test_intents_to_a_file_of_their_own_and_to_the_screen(command, tmp_path):
    path = tmp_path / "recs.csv"
    code, out, _ = command("--users=all", "--explain", f"--output={path}", model="IGRSR")
    assert code == 0
    assert out.splitlines()[1] == f"intents: {path}.explained.jsonl"
    told = (tmp_path / "recs.csv.explained.jsonl").read_text().splitlines()
    assert [json.loads(line)["history"] for line in told] == list(range(1, 61))
    assert pd.read_csv(path)["history"].unique().tolist() == list(range(1, 61))
    code, out, _ = command("--users=all", "--explain", "--k=1", model="IGRSR")
    assert code == 0
    assert "  intent 1, weight 0." in out


def test_interests_of_users_and_of_users_alike(tiny_path, tmp_path, capsys):
    """ISRF; of two users there are texts, one by a language model, one of metadata."""
    folder = shutil.copytree(tiny_path / "tiny", tmp_path / "data/tiny")
    lines = [
        {"id": "u0", "positive": "", "negative": "", "fused": "small steps", "source": "llm"},
        {"id": "u1", "positive": "", "negative": "", "fused": "Items: i9", "source": "metadata"},
    ]
    (folder / "tiny.user_profile").write_text("".join(json.dumps(x) + "\n" for x in lines))
    options = {**SMALL, "n_heads": 2, "n_layers": 1, "n_negatives": 9, "align_every": 1}
    options |= {"data_path": str(tmp_path / "data"), "checkpoint_dir": str(tmp_path / "saved")}
    done = run("ISRF", "tiny", overrides=options)
    words = ["recommend", f"--run={done.folder}", "--explain", "--k=2"]
    capsys.readouterr()
    assert main([*words, "--users=all"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 5 * (1 + 2 + 4) + 1
    assert shown[3].startswith("  intent 1, weight 1.00: small steps, near i")
    assert re.match(r"  intent 2, weight [01]\.\d\d: like user u\d+: both have c\d", shown[4])
    assert shown[10].startswith("  intent 1, weight 1.00: metadata of the user's items: Items: i9,")
    assert shown[17].startswith("  intent 1, weight 1.00: near i")
    output = tmp_path / "recs.csv"
    assert main([*words, "--users=all", f"--output={output}"]) == 0
    told = [json.loads(x) for x in Path(f"{output}.explained.jsonl").read_text().splitlines()]
    assert [line["user_id"] for line in told] == [f"u{user}" for user in range(60)]
    assert {len(line["intents"]) for line in told} == {4}
    (tmp_path / "h.csv").write_text("i1,i2\n")
    capsys.readouterr()
    assert main([*words, f"--histories={tmp_path / 'h.csv'}"]) == 2
    assert "--explain: ISRF tells of users of the dataset" in capsys.readouterr().err


def test_a_picture_of_the_intents(command, tmp_path):
    words = ("--users=all", "--explain", "--k=1", f"--picture={tmp_path / 'new/space.png'}")
    code, out, _ = command(*words, model="VELI4SBR")
    assert code == 0
    assert out.splitlines()[-1] == f"the first among all intents: {tmp_path / 'new/space.png'}"
    first = (tmp_path / "new/space.png").read_bytes()
    path = tmp_path / "recs.csv"
    code, out, _ = command(
        *words[:3], f"--output={path}", f"--picture={path}.png", model="VELI4SBR"
    )
    assert code == 0
    assert len(out.splitlines()) == 3
    assert (tmp_path / "recs.csv.png").read_bytes() == first


def test_the_picture_shows_what_is_told(trained):
    recommender = Recommender.load(trained("VELI4SBR"))
    chunk = next(recommender.user_chunks(["u9", "u3"]))
    keys, names, query, probability = recommender.intent_space(chunk)
    told = recommender.explanations(chunk)[0]["intents"]
    weights = {intent["text"]: intent["weight"] for intent in told}
    found = {name: 1 / (1 + np.exp(-key @ query)) for name, key in zip(names, keys, strict=True)}
    assert found == pytest.approx(weights, abs=1e-5)
    assert dict(zip(names, probability, strict=True)) == pytest.approx(weights, abs=1e-5)


def test_no_picture_leaves_no_file(command, write, tmp_path):
    bad, path = write("h.jsonl", '["i1"]\n["i2"\n'), tmp_path / "space.png"
    unknown = write("unknown.jsonl", '["nothing known"]\n["i1"]\n')
    for words, model, message in (
        ((f"--histories={bad}",), "VELI4SBR", ":2: not JSON"),
        ((f"--histories={unknown}",), "VELI4SBR", "the first history has no known item"),
        (("--users=all",), "IGRSR", "--picture: IGRSR has no space of intents to draw"),
    ):
        output = f"--output={tmp_path / 'r.csv'}"
        code, out, err = command(*words, "--explain", f"--picture={path}", output, model=model)
        assert (code, out) == (2, "")
        assert message in err
        assert [p.name for p in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either --users=FILE, --users=all or --histories=FILE"),
        (["--users=all", "--histories=x"], "give either --users=FILE"),
        (["--users=nowhere.txt"], "nowhere.txt: no such file"),
        (["--users=all", "--k=0"], "--k=0: not a whole number from 1"),
        (["--users=all", "--k=few"], "--k=few: not a whole number from 1"),
        (["--users=all", "--kk=3"], "--kk=3: unknown option; did you mean --k?"),
        (["--users=all", "--index=annoy"], "--index=annoy: not faiss, or empty"),
        (["--users=all", "--history=some"], "--history=some: not one of train, valid, all"),
        (["--users=all", "--output=recs.xlsx"], "recs.xlsx: its name must end in"),
        (["--users=all", "--explain"], "--explain: SASRec has no intents"),
        (["--users=all", "--picture=p.png"], "--picture: goes with --explain"),
        (["--users=all", "--explain", "--picture=p.pdf"], "p.pdf: its name must end in .png"),
        (["--users=all", "--device=abacus"], "device: 'abacus'"),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_line(command, words, message):
    code, out, err = command(*words)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_help_and_a_missing_run(capsys):
    assert main(["recommend"]) == 2
    assert "--run=… is missing" in capsys.readouterr().err
    assert main(["recommend", "--help"]) == 0
    assert "--histories" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["r.parquet", "r.csv", "r.jsonl"])
def test_a_bad_line_leaves_the_older_files(command, write, tmp_path, output):
    path, explained = tmp_path / output, tmp_path / f"{output}.explained.jsonl"
    good = write("good.jsonl", '["i1"]\n')
    assert command(f"--histories={good}", f"--output={path}", "--explain", model="IGRSR")[0] == 0
    older = path.read_bytes(), explained.read_bytes()
    bad = write("h.jsonl", '["i1"]\n["i2"]\n["i3"\n')
    words = (f"--histories={bad}", f"--output={path}", "--explain")
    code, _, err = command(*words, model="IGRSR")
    assert code == 2
    assert f"{bad}:3: not JSON" in err
    assert (path.read_bytes(), explained.read_bytes()) == older
    assert {p.name for p in tmp_path.iterdir()} == {path.name, explained.name, "raw"}
    for text, message in (
        ("nobody", "none of the 1 users is in tiny: 'nobody'"),
        ("", "there is no user or history to recommend to"),
    ):
        code, _, err = command(f"--users={write('none.txt', text)}", f"--output={path}")
        assert code == 2
        assert message in err
    assert path.read_bytes() == older[0]


@pytest.mark.parametrize(
    "name", ["r.parquet", "r.csv", "r.jsonl", "r.csv.explained.jsonl", "r.png"]
)
def test_a_file_of_somebody_else_is_refused(command, write, tmp_path, name):
    """Whatever is under a name that is to be written stays, unless this command wrote it."""
    (tmp_path / name).write_text("user,item\n1,2\n")
    output = (
        f"--output={tmp_path / ('r.csv' if name.endswith(('.png', 'explained.jsonl')) else name)}"
    )
    words = (f"--histories={write('h.jsonl', '[]')}", output, "--explain")
    picture = [f"--picture={tmp_path / name}"] if name.endswith(".png") else []
    code, _, err = command(*words, *picture, model="IGRSR")
    assert code == 2
    assert f"{name}: is there already and was not written by this command" in err
    assert (tmp_path / name).read_text() == "user,item\n1,2\n"


def test_a_killed_process_leaves_the_older_file(trained, tmp_path):
    """Killed while it waits for more histories, with a first chunk already written."""
    pipe, path = tmp_path / "pipe.jsonl", tmp_path / "out/recs.csv"
    path.parent.mkdir()
    older = "history,user_id,rank,item_id,score,source\n"
    path.write_text(older)
    os.mkfifo(pipe)
    words = ["recommend", f"--run={trained()}", f"--histories={pipe}", f"--output={path}"]
    process = subprocess.Popen([sys.executable, str(ROOT / "run_recbole_intent.py"), *words])
    with pipe.open("w") as file:
        file.write('["i1", "i2"]\n' * (CHUNK + 1))
        file.flush()
        for _ in range(PATIENCE * 100):
            if any(half.stat().st_size for half in path.parent.glob(".*.tmp")):
                break
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_text() == older
    assert [p for p in path.parent.iterdir() if not p.name.endswith(".tmp")] == [path]
