"""Presets: what is in them, what they lie under, and which model has which."""

import re

import pytest
import yaml

from recbole_intent.compare.entries import PROTOCOL, Entry
from recbole_intent.compare.request import Request
from recbole_intent.config.config import Config
from recbole_intent.config.key_table import key_table
from recbole_intent.config.registry import get_spec
from recbole_intent.runs.experiment import comparable
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.paths import properties_dir

NOT_OF_A_PAPER = set(
    "initializer_range layer_norm_eps train_neg_sample_args texts_folder item_vectors "
    "loss_type".split()
)
SCRATCH_T5 = set(  # sizes, which a pretrained one has of its own
    "n_layers n_heads hidden_size inner_size hidden_dropout_prob attn_dropout_prob".split()
)
OF_T5 = {"ELMRec", "ISRF", "P5", "POD", "RSL"}
FILES = sorted((properties_dir() / "preset").glob("*/*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_preset_is_in_force_and_says_where_each_value_is_from(path):
    values = read_yaml(path)
    datasets = values.pop("datasets", {})
    table = key_table(get_spec(path.stem).keys)
    for dataset, given in datasets.items():
        assert (properties_dir() / "dataset" / f"{dataset}.yaml").is_file()
        assert given.keys() <= values.keys()
        made = Config(path.stem, dataset, config_dict={"preset": path.parent.name})
        assert {key: made[key] for key in values} == values | given
    assert {key: table.mistake(key, value, None) for key, value in values.items()} == dict.fromkeys(
        values
    )
    made = Config(path.stem, "ml-100k", config_dict={"preset": path.parent.name})
    assert {key: made[key] for key in values} == values
    assert made.plain()["preset"] == path.parent.name
    assert not PROTOCOL & values.keys()  # one model of a comparison cannot change it
    left_out = read_yaml(properties_dir() / "model" / path.name).keys() - values.keys()
    assert left_out <= (SCRATCH_T5 if path.stem in OF_T5 else set()) | NOT_OF_A_PAPER
    if path.parent.name == "paper":
        for line in path.read_text("utf-8").splitlines():
            if re.match(r"\w+:", line):
                assert "#" in line, line


def test_what_the_user_gives_wins_over_a_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"preset": "paper", "icr_weight": 0.7, "p_mask": 0.2}))
    made = Config("IGRSR", "ml-100k", [path], {"p_mask": 0.6})
    assert (made["icr_main"], made["icr_weight"], made["p_mask"]) == ("separate", 0.7, 0.6)
    again = Config.of_run(_left(made, tmp_path))
    assert comparable(again) == comparable(made)


def _left(config, folder):
    (folder / "config.yaml").write_text(yaml.safe_dump(config.plain()))
    return folder


def test_ours_is_no_preset():
    plain, ours, empty = (
        comparable(Config("IGRSR", "ml-100k", config_dict=given))
        for given in ({}, {"preset": "ours"}, {"preset": None})
    )
    assert plain == ours == empty
    assert plain != comparable(Config("IGRSR", "ml-100k", config_dict={"preset": "paper"}))


@pytest.mark.parametrize(
    ("model", "preset", "message"),
    [
        ("IGRSR", "released", "'released' is not a preset of IGRSR, which has ours, paper"),
        ("ISRF", "papr", "'papr' is not a preset of ISRF, which has ours, paper, released"),
        ("ISRF", 3, "3 is not a preset of ISRF"),
        ("ISRF", ["paper"], "is not a preset of ISRF"),
        ("VELI4SBR", "../paper", "is not a preset of VELI4SBR, which has ours, paper"),
        ("SASRec", "paper", "'paper' is not a preset of SASRec, which has none"),
        ("BPR", "paper", "'paper' is not a preset of BPR, which has none"),
    ],
)
def test_a_preset_that_is_not_there_is_named_with_those_that_are(model, preset, message):
    with pytest.raises(UserError, match=message):
        Config(model, "ml-100k", config_dict={"preset": preset})


def test_a_variant_of_a_model_has_its_presets(tmp_path, monkeypatch):
    (tmp_path / "with_preset.py").write_text(
        "from recbole_intent.models.igrsr.model import IGRSR\nclass Mine(IGRSR):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Config("with_preset:Mine", "ml-100k", config_dict={"preset": "paper"})
    assert made["icr_main"] == "separate"


@pytest.mark.parametrize("in_file", [False, True])
def test_in_a_comparison_those_have_it_that_have_it(tmp_path, in_file):
    entries = [
        Entry("a", "IGRSR"),
        Entry("b", "SASRec"),
        Entry("c", "IGRSR", {"preset": "ours"}),
        Entry("d", "ISRF"),
    ]

    def presets(name: str) -> list:
        path = tmp_path / "all.yaml"
        path.write_text(f"preset: {name}\n")
        how = {"config_files": [str(path)]} if in_file else {"overrides": {"preset": name}}
        request = Request("ml-100k", entries, [1], **how)
        request.check_preset()
        return [
            Config(e.model, "ml-100k", request.config_files, request.overrides_of(e, 1))["preset"]
            for e in entries
        ]

    assert presets("paper") == ["paper", None, None, "paper"]
    assert presets("released") == [None, None, None, "released"]
    assert presets("ours") == [None] * 4
    with pytest.raises(UserError, match=r"--preset=papr: no model of these has it \(IGRSR: paper"):
        presets("papr")
