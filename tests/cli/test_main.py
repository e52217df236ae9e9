"""The command line: what it runs, and how it says what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import recbole_intent
from recbole_intent.cli.commands import COMMANDS, TRAIN
from recbole_intent.cli.main import main
from recbole_intent.cli.options import parse
from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.utils.errors import UserError

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"
ROWS = "".join(f"u{u}\ti{(u + t) % 7}\t{t}\n" for u in range(9) for t in range(5))
RUN = ["--device=cpu", "--show_progress=False", "--tensorboard=False", "--epochs=1"]
RUN += ["--hidden_size=16", "--MAX_ITEM_LIST_LENGTH=8", "--data_path=dataset"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def atomic(here: Path):
    """Write `dataset/mine/mine.inter`."""

    def write(content: str | bytes = HEADER + ROWS, name: str = "mine.inter") -> Path:
        path = here / "dataset" / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture):
    """Run a command that must be refused in one line, leaving nothing new; returns the line."""

    def run(*words: str) -> str:
        before = {p: p.stat().st_mtime_ns for p in here.rglob("*") if p.is_file()}
        capsys.readouterr()
        assert main(words) == 2
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("error: ")
        assert out == ""
        assert {p: p.stat().st_mtime_ns for p in here.rglob("*") if p.is_file()} == before
        assert not (here / "saved").exists() or before
        return lines[0].removeprefix("error: ")

    return run


def test_trains_reports_and_runs_anew(atomic, here, capsys):
    atomic()
    command = ["--model=SASRec", "--dataset=mine", *RUN]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert "recall@10" in first
    folder = next((here / "saved").iterdir())
    assert f"results: saved/{folder.name}" in first
    assert main(command) == 0
    second = capsys.readouterr().out
    assert second.startswith(f"saved/{folder.name} is finished; --fresh would train it again")
    assert second.splitlines()[1:] == first.splitlines()
    assert main([*command, "--fresh"]) == 0
    assert "is finished" not in capsys.readouterr().out
    assert len(list((here / "saved").iterdir())) == 1


def test_help_needs_no_model(capsys):
    for words in ([], ["--help"], ["-h"], ["evaluate", "--help"], ["demo", "-h"]):
        assert main(words) == 0
        command = words[0] if words[:1] in (["evaluate"], ["demo"]) else "--model=MODEL"
        assert capsys.readouterr().out.startswith(f"usage: recbole_intent {command}")


@pytest.mark.parametrize("command", [TRAIN, *COMMANDS], ids=lambda command: command.name or "run")
def test_help_fits_80_columns_and_shows_every_option(command, capsys):
    assert main(["help", *command.name.split()]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for option in command.options:
        assert option.name in text or option.name.replace("_", "-") in text
        assert option.row.help.split()[0] in text


@pytest.mark.parametrize(
    "words",
    [
        "--model=SASrec --dataset=ml-100k",
        "compare --models=SASRec,BRP --dataset=ml-100k",
        "compare --models=SASRec,BPR --dataset=ml-100k --hiden_size=8",
        "compare --models=SASRec --dataset=absent",
        "tune --model=SASrec --dataset=ml-100k",
        "tune --model=SASRec --dataset=ml-100k --search=absent.yaml",
        "enrich intents --dataset=absent",
        "enrich vectors --dataset=ml-100k --widow=3",
        "evaluate --run=absent",
        "recommend --run=absent --users=1",
        "prepare --dataset=absent",
        "compare --reproduce=absent",
        "compare --reproduce=igrsr-table2 --datasets=absent",
        "leaderboard --runs=absent",
        "serve --run=absent",
        "demo --model=SASRec",
    ],
)
def test_mistakes_come_at_once(words):
    """A mistake in a name, file or key is answered before torch is imported."""
    code = "import sys; sys.modules['torch'] = None; from recbole_intent.cli.main import main"
    code += "; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")


def test_help_comes_at_once():
    """No command needs torch, pandas or numpy before it runs."""
    code = "import sys; from recbole_intent.cli.main import main; main([*sys.argv[1:], '--help'])"
    code += "; assert not {'torch', 'pandas', 'numpy', 'recbole'} & {*sys.modules}"
    for words in ([], ["compare"], ["enrich", "intents"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"recbole_intent {recbole_intent.__version__}\n"


def test_models_are_listed_with_their_papers(capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for name in model_names():
        assert f"\n{name} " in text
        assert get_spec(name).url in text
    assert main(["models", "--family=generative"]) == 0
    assert "SASRec" not in capsys.readouterr().out


def test_options_come_from_files_then_from_the_command(atomic, here, capsys):
    atomic()
    (here / "my settings.yaml").write_text("learning_rate: 5e-4\nhidden_size: 8\n")
    (here / "b.yaml").write_text("n_heads: 1\n")
    words = ["--model=SASRec", "--dataset=mine", *RUN, "--config_files=my settings.yaml,b.yaml"]
    assert main([*words, "--output=run"]) == 0
    import yaml

    written = yaml.safe_load((here / "run/config.yaml").read_text())
    assert written["learning_rate"] == 0.0005
    assert written["hidden_size"] == 16  # of the command
    assert written["n_heads"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model=SASRecc", "--dataset=ml-100k"], "nearest: SASRec"),
        (["--model=igrsr", "--dataset=ml-100k"], "nearest: IGRSR"),
        (["--model=qqqq", "--dataset=ml-100k"], "nearest: BERT4Rec, BPR, "),
        (["--model=no_such_module:X", "--dataset=ml-100k"], "cannot import no_such_module"),
        (["--model=json:X", "--dataset=ml-100k"], "module json has no 'X'"),
        (["--dataset=ml-100k"], "--model=… is missing"),
        (["--model=SASRec"], "--dataset=… is missing"),
        (["--model=SASRec", "--dataset="], "--dataset=… is missing"),
        (["--model=SASRec", "--dataset=ml-100k", "--epochs"], "--epochs: needs a value"),
        (["--model=SASRec", "--dataset=ml-100k", "-x=1"], "-x=1: not of the form --key=value"),
        (["--model=SASRec", "SASRec"], "SASRec: not of the form"),
        (["--model=SASRec", "--dataset=ml-100k", "--hiden_size=8"], "did you mean hidden_size?"),
        (["--model=SASRec", "--dataset=ml-100k", "--zzzz=8"], "--zzzz: unknown key ("),
        (["--model=SASRec", "--dataset=ml-100k", "--epochs=2", "--epochs=3"], "given twice"),
        (["--model=SASRec", "--dataset=ml-100k", "--topk=[1"], "cannot read the value '[1'"),
        (
            ["--model=SASRec", "--dataset=ml-100k", "--epochs=many"],
            "'many' is not a whole number from 1",
        ),
        (["--model=SASRec", "--dataset=ml-100k", "--tensorboard=maybe"], "neither True nor False"),
        (["--model=SASRec", "--dataset=ml-100k", "--eval_args={mod: x}"], "unknown part 'mod'"),
        (["--model=SASRec", "--dataset=ml-100k", "--device=abacus"], "device: 'abacus'"),
        (
            ["--model=SASRec", "--dataset=ml-100k", "--metrics=[Recal]"],
            "'Recal' is not one of recall, hit",
        ),
        (["--model=SASRec", "--dataset=ml-100k", "--config_files=no.yaml"], "no.yaml: no such"),
        (["--model=SASRec", "--dataset=ml-100k", "--fresh=True"], "--fresh takes no value"),
        (["demo", "now"], "now: not of the form --key=value"),
        (["demo", "--epochs=1"], "demo: --epochs=1: unknown option"),
        (["demo", "--model=SASRec"], "--model=SASRec: not one of IGRSR, VELI4SBR"),
        (["comapre", "--models=A"], "comapre: no such command; did you mean compare?"),
        (["evaluate", "--run=x", "--fresh"], "--fresh: not an option of evaluate"),
        (["models", "--family=graph"], "--family=graph: not one of sequential, session"),
        (["prepare"], "--dataset=… is missing"),
        (["prepare", "--datset=mine"], "did you mean --dataset?"),
        (
            ["prepare", "--dataset=mine", "--sauce=x"],
            "did you mean --source?",
        ),
        (["prepare", "--dataset=mine", "--source=nowhere"], "nowhere"),
        (["prepare", "--dataset=a/b", "--source=x"], "--dataset=a/b"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_of_the_command_are_one_line(refused, words, message):
    assert message in refused(*words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "epochs: 1\nhiden_size: 3\n",
            "my.yaml: hiden_size: unknown key; did you mean hidden_size?",
        ),
        ("epochs: 1\nepochs: 2\n", "my.yaml:2: not YAML: key 'epochs' is given twice"),
        ("epochs: 1\ntopk: [1\nseed: 3\n", "my.yaml:3: not YAML"),
        ("- a\n- b\n", "my.yaml: expected `key: value` lines, found list"),
        (b"note: caf\xe9\n", "my.yaml: not UTF-8 (byte 9)"),
        ("epochs: 1\nlearning_rate: fast\n", "my.yaml: learning_rate: 'fast' is not a number"),
        ("f: !!python/object/apply:os.getcwd []\n", "my.yaml:1: not YAML"),
    ],
    ids=lambda value: "",
)
def test_mistakes_in_a_file_name_it_and_the_line(refused, here, content, message):
    data = content if isinstance(content, bytes) else content.encode()
    (here / "my.yaml").write_bytes(data)
    assert message in refused("--model=SASRec", "--dataset=ml-100k", "--config_files=my.yaml")


def test_unknown_keys_are_accepted_on_demand(atomic, here):
    atomic()
    words = ["--model=SASRec", "--dataset=mine", *RUN, "--my_note=hello"]
    assert main([*words, "--output=a"]) == 2
    assert main([*words, "--output=a", "--allow-unknown"]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "mine.inter: empty file"),
        (HEADER, "mine.inter: no interactions below the header"),
        ("user_id:token\titem_id:token\nu\ti\n", "mine.inter: no column 'timestamp'"),
        ("user_id\titem_id\ttimestamp\nu\ti\t1\n", "mine.inter:1: 'user_id' is not of the form"),
        (HEADER.replace("item_id:token", "item_id:token_seq") + ROWS, "write item_id:token"),
        (HEADER + "u\ti\t1\nu\tj\t\nu\tk\t3\n", "mine.inter:3: timestamp is empty"),
        (HEADER + "u\ti\t1\nu\tj\tnan\n", "mine.inter:3: timestamp 'nan' is not a number"),
        (HEADER + "u\ti\t1\nu\tj\tlater\n", "mine.inter:3: timestamp 'later' is not a number"),
        (HEADER + "u\ti\t1\nu\tj\tinf\n", "mine.inter:3: timestamp 'inf' is not a number"),
        (HEADER + 'u\ti\t1\nu\t"j\t2\n', "split is empty"),
        ((HEADER + ROWS).encode() + b"u\xff\ti\t1\n", "mine.inter:47: not UTF-8"),
        (b"user\xff_id:token\n", "mine.inter:1: not UTF-8 (byte 4)"),
        (HEADER + "u\ti\t1\nu\tj\t2\nv\ti\t1\nv\tj\t2\n", "split is empty"),
        (HEADER + "u\ti\t1\nv\tj\t2\n", "no user has two interactions"),
    ],
    ids=range(14),
)
@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_mistakes_in_the_data_name_the_file(atomic, refused, model, content, message):
    path = atomic(content)
    if model == "BPR" and "no user has two" in message:
        message = "split is empty"
    words = [word for word in RUN if not (model == "BPR" and word.startswith("--hidden_size"))]
    line = refused(f"--model={model}", "--dataset=mine", *words)
    assert message in line
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--load_col={inter: [user_id, item_id]}", "load_col: inter: lacks 'timestamp'"),
        (
            "--user_inter_num_interval='(99,inf)'",
            "dataset mine: no interaction is left after user_inter_num",
        ),
        ("--eval_args={split: {LS: test}}", "split: LS: 'test' is not one of valid_and_test"),
        ("--noise={ratio: much}", "noise: ratio: 'much' is not a number"),
    ],
    ids=lambda value: "",
)
def test_settings_that_the_data_cannot_meet_are_named(atomic, refused, word, message):
    atomic()
    assert message in refused("--model=SASRec", "--dataset=mine", *RUN, word)


def test_features_that_the_item_file_lacks_are_named(atomic, refused):
    atomic()
    words = ["--model=SASRecF", "--dataset=mine", *RUN]
    assert "mine.item: no such file" in refused(*words)
    atomic("item_id:token\tbrand:token\ni1\tb\n", "mine.item")
    assert "mine.item: no column 'class'; it has item_id, brand" in refused(*words)


@pytest.mark.parametrize("dataset", ["amazon-toys", "yelp", "never-heard-of"])
def test_an_unprepared_dataset_gets_its_command(refused, dataset):
    line = refused("--model=SASRec", f"--dataset={dataset}", *RUN)
    assert line.startswith(f"dataset/{dataset}/{dataset}.inter: no such file")
    assert f"dataset '{dataset}' is not prepared" in line
    assert f"recbole_intent prepare --dataset={dataset}" in line


def test_checkpoint_of_another_dataset_is_refused(atomic, here, refused):
    atomic()
    assert main(["--model=SASRec", "--dataset=mine", *RUN, "--output=small"]) == 0
    words = ["--model=IGRSR", "--dataset=ml-100k", *RUN, "--distiller_size=16", "--output=big"]
    line = refused(*words, "--lid_checkpoint=small/best.pt")
    assert "the distiller's checkpoint does not fit" in line
    line = refused(*words, "--lid_checkpoint=nowhere.pt")
    assert "nowhere.pt: no such checkpoint" in line
    assert not (here / "big").exists()


def test_a_cut_checkpoint_is_named(atomic, here, capsys):
    atomic()
    words = ["--model=SASRec", "--dataset=mine", *RUN, "--output=run"]
    assert main(words) == 0
    (here / "run/result.json").unlink()
    content = (here / "run/last.pt").read_bytes()
    (here / "run/last.pt").write_bytes(content[: len(content) // 2])
    capsys.readouterr()
    assert main(words) == 2
    assert (
        "run/last.pt: not a readable checkpoint; use --fresh to overwrite"
        in capsys.readouterr().err
    )
    assert main([*words, "--fresh"]) == 0


def test_prepare_then_train(here, capsys):
    lines = ["user_id\titem_id\ttimestamp\ttitle"]
    lines += [f"u{u}\ti{(u + t) % 7}\t{t}\tt" for u in range(9) for t in range(5)]
    (here / "raw.tsv").write_text("\n".join(lines) + "\n")
    assert main(["prepare", "--dataset=fresh", "--source=raw.tsv"]) == 0
    out = capsys.readouterr().out
    assert "45" in out
    assert main(["--model=SASRec", "--dataset=fresh", *RUN]) == 0
    assert next((here / "saved").iterdir()).name.startswith("SASRec-fresh-2020-")


def test_a_model_of_the_user_trains(atomic, here, monkeypatch, capsys):
    atomic()
    (here / "my_models.py").write_text(
        "from recbole.model.sequential_recommender import SASRec\n"
        "class Mine(SASRec):\n"
        "    def __init__(self, config, dataset):\n"
        "        super().__init__(config, dataset)\n"
        "        assert config['my_option'] == 3\n"
    )
    (here / "mine.yaml").write_text(
        "my_option: 3\nn_layers: 1\nn_heads: 1\ninner_size: 16\nhidden_dropout_prob: 0.1\n"
        "attn_dropout_prob: 0.1\nhidden_act: gelu\nlayer_norm_eps: 1e-12\n"
        "initializer_range: 0.02\nloss_type: CE\nhidden_size: 8\n"
    )
    monkeypatch.syspath_prepend(str(here))
    words = ["--model=my_models:Mine", "--dataset=mine", *RUN, "--config_files=mine.yaml"]
    assert main([*words, "--allow-unknown"]) == 0
    assert "recall@10" in capsys.readouterr().out
    assert next((here / "saved").iterdir()).name.startswith("Mine-mine-2020-")


TWO = ["--model=SASRec", "--dataset=ml-100k"]


def test_arguments_are_split_at_the_first_equals_sign():
    asked = parse(TRAIN, [*TWO, "--a=b=c", "--fresh", "--e=", "--a=b=c"])
    assert asked.keys == {"a": "b=c", "e": None}
    assert asked.options == {"model": "SASRec", "dataset": "ml-100k", "fresh": True}
    with pytest.raises(UserError, match="given twice, as 'b=c' and 'd'"):
        parse(TRAIN, [*TWO, "--a=b=c", "--a=d"])


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "SASRec", "-d", "ml-100k", "--epochs", "5", "--config_files", "a.yaml", "b.yaml"],
        ["-mSASRec", "-d=ml-100k", "--epochs=5", "--config-files=a.yaml,b.yaml"],
        ["--config_files=a.yaml b.yaml", "--model", "SASRec", "--epochs", "5", "-dml-100k"],
        ["--config_files=a.yaml", "b.yaml", "--epochs", "5", *TWO],
    ],
    ids=" ".join,
)
def test_one_grammar(words):
    asked = parse(TRAIN, words)
    assert asked.options == {
        "model": "SASRec", "dataset": "ml-100k", "config_files": ["a.yaml", "b.yaml"],
    }  # fmt: skip
    assert asked.keys == {"epochs": 5}


def test_values_keep_their_kind():
    """A name that looks like a number stays text; negative numbers are values."""
    asked = parse(TRAIN, ["--model", "SASRec", "--dataset", "2020", "--weight", "-0.5", "--x=~"])
    assert asked.options["dataset"] == "2020"
    assert asked.keys == {"weight": -0.5, "x": None}


def test_ctrl_c_says_how_to_go_on(atomic, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    atomic()
    monkeypatch.setattr("recbole_intent.runs.experiment.run", stop)
    assert main(["--model=SASRec", "--dataset=mine"]) == 130
    assert "the same command continues" in capsys.readouterr().err


def test_best_weights_load_without_pickle(atomic, here):
    atomic()
    assert main(["--model=SASRec", "--dataset=mine", *RUN, "--output=run"]) == 0
    state = torch.load(here / "run/best.pt", weights_only=True)
    assert state["state_dict"]["item_embedding.weight"].shape == (8, 16)


def test_a_reader_that_goes_away_is_no_traceback(here):
    command = [
        sys.executable,
        "-c",
        "from recbole_intent.cli.main import main; exit(main(['--help']))",
    ]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
