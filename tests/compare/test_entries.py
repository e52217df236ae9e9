"""Who takes part in a comparison, and what one model may not change."""

from pathlib import Path

import pytest

from recbole_intent.compare.entries import PROTOCOL, Entry, check_protocol, read_entries
from recbole_intent.config.config import Config
from recbole_intent.utils.errors import UserError

RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_names_of_models_are_entries():
    assert read_entries(["SASRec", "my.models:Mine"], None, "toys") == [
        Entry("SASRec", "SASRec"),
        Entry("my.models:Mine", "my.models:Mine"),
    ]


def test_a_file_of_variants(write):
    path = write(
        "params.yaml",
        "IGRSR:\nno intents: {model: IGRSR, use_lid: False}\nSASRec: {learning_rate: 1e-3}\n",
    )
    entries = [
        Entry("IGRSR", "IGRSR"),
        Entry("no intents", "IGRSR", {"use_lid": False}),
        Entry("SASRec", "SASRec", {"learning_rate": 0.001}),
    ]
    assert read_entries([], str(path), "toys") == entries
    assert read_entries(["SASRec", "IGRSR", "no intents", "Pop"], str(path), "toys") == [
        entries[2],
        entries[0],
        entries[1],
        Entry("Pop", "Pop"),
    ]


def test_flat_files_of_single_models(write):
    one = write("one.yaml", "model: IGRSR\ndataset: toys\nn_prefix: 4\n")
    two = write("two.yaml", "hidden_size: 32\n")
    params = f"IGRSR:{one},my.models:Mine:{two}"
    assert read_entries(["IGRSR", "my.models:Mine", "SASRec"], params, "toys") == [
        Entry("IGRSR", "IGRSR", {"n_prefix": 4}),
        Entry("my.models:Mine", "my.models:Mine", {"hidden_size": 32}),
        Entry("SASRec", "SASRec"),
    ]


@pytest.mark.parametrize(
    ("models", "text", "message"),
    [
        ([], "", "--models=A,B,… is missing"),
        (["SASRec", "SASRec"], "", "SASRec is named twice"),
        (["SASRec"], "SASRc: {}", "SASRc is not among --models"),
        ([], "learning_rate: 0.1", r"--params=MODEL:FILE"),
        ([], "SASRec: [1]", "SASRec: expected"),
        ([], "A: {model: SASRec, epochs: 3}", r"A: epochs is a part of the protocol.*--epochs="),
        ([], "A: {dataset: beauty}", "A: dataset is a part of the protocol"),
        ([], "A: {x: 1}\nA: {x: 2}", "'A' is given twice"),
    ],
    ids=str,
)
def test_mistakes_are_named(write, models, text, message):
    path = write("params.yaml", text + "\n")
    with pytest.raises(UserError, match=message):
        read_entries(models, str(path), "toys")


def test_a_file_of_tune_may_repeat_what_is_given_for_all(write):
    """`tune` writes what all its trials were given, its seed too, into best.yaml."""
    path = write("best.yaml", "learning_rate: 0.01\nepochs: 6\ntask: direct\nseed: 7\n")
    shared = {"epochs": 6, "task": "direct", "n_layers": 1}
    assert read_entries(["SASRec"], f"SASRec:{path}", "toys", shared) == [
        Entry("SASRec", "SASRec", {"learning_rate": 0.01})
    ]
    with pytest.raises(UserError, match=r"epochs is a part.*give it for all: --epochs=6"):
        read_entries(["SASRec"], f"SASRec:{path}", "toys", {**shared, "epochs": 7})


@pytest.mark.parametrize("params", ["nowhere.yaml", "SASRec:nowhere.yaml", ":x", "SASRec:"])
def test_absent_files_are_named(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nowhere\.yaml|neither a file nor|:x|SASRec:"):
        read_entries(["SASRec"], params, "toys")


@pytest.mark.parametrize("key", sorted(PROTOCOL - {"dataset"}))
def test_no_part_of_the_protocol_is_of_one_model(write, key):
    path = write("params.yaml", f"SASRec: {{{key}: 1}}\n")
    with pytest.raises(UserError, match=f"SASRec: {key} is a part of the protocol"):
        read_entries([], str(path), "toys")


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_files_of_results_have_known_keys_and_one_protocol(path):
    entries = read_entries([], str(path), "ml-100k")
    assert len(entries) > 1
    check_protocol(
        {e.label: Config(e.model, "ml-100k", config_dict=dict(e.values)) for e in entries}
    )


def test_final_configurations_share_the_protocol(tiny):
    check_protocol({"SASRec": tiny(), "BPR": tiny("BPR"), "IGRSR": tiny("IGRSR")})
    with pytest.raises(UserError, match=r"stopping_step: SASRec has 5, other has 9.*for all"):
        check_protocol({"SASRec": tiny(), "other": tiny(stopping_step=9)})
