"""What a result says of a run that is not as its model's paper has it."""

import importlib

import pytest

from recbole_intent.cli.main import main
from recbole_intent.config.registry import get_spec
from recbole_intent.modeling.deviations import deviations

REVIEWS = "the third task of the paper's training, reviews, is not learned (5.1.3)"

# Of each model one value of each key that is not the paper's.
OTHER = {
    "IGRSR": {
        "use_lid": False,
        "item_init": "distiller",
        "n_prefix": 1,
        "n_intents": 6,
        "distiller_size": 64,
        "distiller_folds": 2,
        "intent_scope": "causal",
        "intent_norm": "layer",
        "intent_dropout_prob": 0.1,
        "fusion": "concat",
        "norm": "sasrec",
        "hidden_size": 32,
        "use_icr": False,
        "icr_views": "dropout",
        "icr_rescale": True,
        "p_mask": 0.05,
        "icr_main": "view",
        "icr_share": 0.5,
        "icr_weight": 0,
    },
    "VELI4SBR": {
        "intents": "none",
        "fusion_without_intents": True,
        "shuffle_intents": True,
        "intent_share": 0.5,
        "intent_threshold": 0.4,
        "loss_type": "CE",
        "hard_negatives": False,
        "intent_weight": 10,
        "decouple_weight": 0,
        "decoupling": "orthogonal",
        "enrich": False,
        "enrich_every": 4,
        "n_neighbors": "none",
        "enrich_scope": "failed",
        "n_layers": 1,
        "n_heads": 4,
        "hidden_size": 32,
        "hidden_dropout_prob": 0.5,
        "attn_dropout_prob": 0.5,
        "learner": "adamw",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
    },
    "ISRF": {
        "t5": "scratch",
        "tasks": ["sequential"],
        "semantics": "metadata",
        "user_semantics": "metadata",
        "item_text": "positive",
        "user_text": "negative",
        "use_adapter": False,
        "adapter_activation": "gelu",
        "id_tokens": "item",
        "item_ids": "tree",
        "user_tokens": "word",
        "training_prompts": "bare",
        "sequential_whole_word": "position",
        "sequential_user": False,
        "decoder_whole_words": True,
        "direct_loss": "candidates",
        "n_negatives": 50,
        "gcn_layers": 3,
        "graph_edges": "any",
        "hide_edges": "targets",
        "learn_users": False,
        "n_similar_users": 50,
        "user_graph": "symmetric",
        "similar_users_index": "faiss",
        "use_alignment_direct": False,
        "use_alignment_sequential": False,
        "alignment": "soft_target",
        "align_weight": 0,
        "align_every": 16,
        "refine_every": "epoch",
        "decode": "exact",
        "train_batch_size": 512,
        "decay_epochs": 10,
        "learning_rate": 3e-3,
        "sigma": 0.1,
        "stop_on": "metric",
    },
}
# What else has to be so for the key to have an effect, or to be allowed.
WITH = {
    "fusion_without_intents": {"intents": "none"},
    "decoder_whole_words": {"id_tokens": "item"},
    "direct_loss": {"id_tokens": "item"},
}


def found(config, passes=None):
    return deviations(config, passes)


def test_every_rule_is_tried():
    assert {name: set(values) for name, values in OTHER.items()} == {
        name: {said.key for said in importlib.import_module(get_spec(name).paper).PAPER}
        for name in OTHER
    }


@pytest.mark.parametrize("model", OTHER)
def test_the_papers_preset_deviates_in_nothing_but_what_no_value_changes(config, model):
    assert found(config(model, preset="paper", train_batch_size=64)) == (
        [REVIEWS] if model == "ISRF" else []
    )


@pytest.mark.parametrize(("model", "key"), [(m, key) for m in OTHER for key in OTHER[m]])
def test_each_value_that_is_not_the_papers_is_named(config, model, key):
    given = {"train_batch_size": 64, **WITH.get(key, {}), key: OTHER[model][key]}
    lines = [
        line for line in found(config(model, preset="paper", **given)) if line.startswith(f"{key}:")
    ]
    assert len(lines) == 1
    assert "(paper: " in lines[0] or "(released: " in lines[0]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"use_lid": False}, ["use_lid"]),  # nothing of intents matters any more
        ({"use_lid": False, "n_intents": 9, "p_mask": 0.9, "intent_norm": "layer"}, ["use_lid"]),
        ({"use_lid": False, "item_init": "auto"}, ["use_lid"]),
        ({"item_init": "auto"}, ["item_init"]),
        ({"use_icr": False, "icr_main": "view", "icr_rescale": True}, ["use_icr"]),
        ({"precision": "bf16"}, ["precision"]),
        ({"matmul_precision": "medium"}, ["matmul_precision"]),
    ],
    ids=str,
)
def test_a_value_without_effect_is_no_deviation(config, options, names):
    lines = found(config("IGRSR", preset="paper", **options))
    assert [line.partition(":")[0] for line in lines] == names


def test_passes_and_windows_count_where_targets_share_a_pass(config):
    lines = found(config("VELI4SBR", preset="paper", windows="strided"), passes=4)
    assert [line.partition(" (")[0] for line in lines] == ["passes: 4", "windows: strided"]
    assert found(config("VELI4SBR", preset="paper", windows="strided")) == []


def test_the_released_code_is_not_the_paper(config):
    lines = found(config("ISRF", preset="released", train_batch_size=64))
    assert [line.partition(":")[0] for line in lines] == [
        *("item_ids", "sequential_whole_word", "graph_edges", "alignment"),
        REVIEWS,
    ]


def test_a_model_of_no_paper_here_deviates_from_none(config):
    assert found(config("SASRec", item_init="distiller")) == []


def test_deviations_stand_in_the_result_and_under_every_table(tiny_path, tmp_path, capsys):
    params = tmp_path / "params.yaml"
    small = "hidden_size: 16, inner_size: 16, n_layers: 1, distiller_size: 8"
    params.write_text(
        f"paper's: {{model: IGRSR, preset: paper, {small}}}\n"
        f"ours: {{model: IGRSR, {small}}}\n"
        "SASRec: {hidden_size: 8}\n"
    )
    words = [
        *("compare", f"--params={params}", "--dataset=tiny", f"--data_path={tiny_path}"),
        *(f"--checkpoint_dir={tmp_path / 'saved'}", "--epochs=1", "--device=cpu"),
        *("--MAX_ITEM_LIST_LENGTH=8", "--train_batch_size=64", "--tensorboard=False"),
    ]
    assert main([*words, f"--output={tmp_path / 'out'}"]) == 0
    common = "hidden_size: 16 (paper: 64, 4.1.3)"
    mine = (
        "ours: not as in the paper: item_init: distiller (paper: random, 3.3); "
        f"{common}; icr_rescale: True (paper: False, (8)); "
        "icr_main: view (paper: separate, (9))."
    )
    theirs = f"paper's: not as in the paper: {common}."
    tables = list((tmp_path / "out/tables").glob("*.md"))
    assert len(tables) >= 5
    for path in [*tables, tmp_path / "out/report.md"]:
        text = path.read_text("utf-8")
        assert mine in text, path
        assert theirs in text, path
        assert "SASRec: not as" not in text
    assert mine in " ".join(capsys.readouterr().out.split())  # wrapped at 80 columns
