"""The table of keys: every row accepts the ends of its range and refuses what is past them."""

import re

import pytest
import torch
import yaml

from recbole_intent.compare.compare import compare
from recbole_intent.compare.entries import Entry, read_entries, refuse_idle
from recbole_intent.compare.request import Request
from recbole_intent.config.command_keys import COMPARE, PREPARE, RECOMMEND, SESSIONS, TUNE
from recbole_intent.config.config import Config
from recbole_intent.config.key_table import key_table
from recbole_intent.config.keys import Key
from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.enrich.option_keys import INTENTS, PROFILES
from recbole_intent.runs.experiment import build
from recbole_intent.tune.space import read_space, without_idle
from recbole_intent.utils import precision
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.paths import properties_dir

OURS = sorted(path.stem for path in (properties_dir() / "model").glob("*.yaml"))


def _all_rows() -> list:
    modules = {get_spec(model).keys for model in model_names()}
    tables = [*map(key_table, sorted(modules)), INTENTS, PROFILES]
    tables += [TUNE, COMPARE, RECOMMEND, PREPARE, SESSIONS]
    rows = {}
    for table in tables:
        for key in table.rows.values():
            rows.setdefault((key.name, str(key.kind.wanted)), key)
    return [pytest.param(key, id=f"{key.name}-{wanted[:20]}") for (_, wanted), key in rows.items()]


@pytest.mark.parametrize("key", _all_rows())
def test_a_row_accepts_its_ends_and_refuses_what_is_past_them(key: Key):
    assert re.fullmatch(r"\S.*\S", key.help, re.S), "a row says what its key is for"
    assert "\n" not in key.help
    if key.instead:
        assert key.mistake("anything", default=None).startswith("has no effect here")
        return
    inside, outside = key.kind.inside(), key.kind.outside()
    assert inside
    assert outside
    for value in inside:
        assert key.mistake(value) is None, value
    for value in outside:
        mistake = key.mistake(value)
        assert mistake, value
        assert "\n" not in mistake
        assert len(mistake) < 400


@pytest.mark.parametrize("path", ["overall.yaml", *(f"model/{name}.yaml" for name in OURS)])
def test_every_key_of_our_properties_has_a_row(path):
    table = key_table(get_spec(path.removeprefix("model/").removesuffix(".yaml")).keys
                      if "/" in path else None)  # fmt: skip
    values = yaml.safe_load((properties_dir() / path).read_text("utf-8"))
    assert [key for key in values if key not in table.rows] == []
    assert [key for key in values if not table.rows[key].help] == []


@pytest.mark.parametrize("model", model_names())
def test_defaults_satisfy_their_rows_and_are_not_without_effect_by_mistake(model):
    config = Config(model, "ml-100k", config_dict={"device": "cpu"})
    for key, default in config.internal_config_dict.items():
        assert config.key_table.rows[key].kind.mistake(default) is None, key


@pytest.mark.parametrize(
    "path", sorted((properties_dir() / "search").glob("*.yaml")), ids=lambda path: path.stem
)
def test_search_spaces_satisfy_the_rows(path):
    table = key_table(get_spec(path.stem).keys)
    for key, domain in read_space(path.stem)[0].items():
        assert table.rows[key].is_searchable, key
        for value in domain.ends():
            assert table.mistake(key, value) is None, (key, value)


@pytest.mark.parametrize(("purpose", "table"), [("VELI4SBR", INTENTS), ("ISRF", PROFILES)])
def test_the_options_of_enrich_have_a_row_each_that_their_defaults_satisfy(purpose, table):
    values = yaml.safe_load((properties_dir() / "enrich" / f"{purpose}.yaml").read_text("utf-8"))
    values |= {f"llm.{name}": value for name, value in values.pop("llm").items()}
    assert values.keys() == table.rows.keys()
    assert {key: table.mistake(key, value) for key, value in values.items()} == dict.fromkeys(
        values
    )


NAN = float("nan")


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [
        ("SASRec", "clip_grad_norm", {"max_norm": -1}),
        ("SASRec", "clip_grad_norm", {"max_nrom": 1}),
        ("SASRec", "weight_decay", float("inf")),
        ("SASRec", "val_interval", {"rating": "[3,inf"}),
        ("SASRec", "user_inter_num_interval", "[9,5]"),
        ("SASRec", "topk", []),
        ("SASRec", "topk", [5, 5]),
        ("SASRec", "topk", [True]),
        ("SASRec", "topk", ["5"]),
        ("SASRec", "metrics", []),
        ("SASRec", "metrics", ["Recal"]),
        ("SASRec", "metrics", ["Recall", "recall"]),
        ("SASRec", "metrics", ["AUC"]),
        ("SASRec", "valid_metric", "NDCG@0"),
        ("SASRec", "n_layers", 0),
        ("SASRec", "hidden_size", 64.0),
        ("SASRec", "epochs", True),
        ("SASRec", "learning_rate", "1e-3x"),
        ("SASRec", "learning_rate", -1e-9),
        ("SASRec", "hidden_dropout_prob", 1.0),
        ("SASRec", "learner", "adamm"),
        ("SASRec", "precision", "fp16"),
        ("SASRec", "matmul_precision", "low"),
        ("SASRec", "rm_dup_inter", True),
        ("SASRec", "benchmark_filename", ["train", "test"]),
        ("SASRec", "noise", {"ratio": 1.5}),
        ("SASRec", "noise", {"kind": "replace"}),
        ("SASRec", "eval_args", {"order": "RT"}),
        ("SASRec", "eval_args", {"mode": "fulll"}),
        ("SASRec", "eval_args", {"split": {"RS": [0.8, -0.1, 0.3]}}),
        ("SASRec", "train_neg_sample_args", {"sample_num": 0}),
        ("BPR", "train_neg_sample_args", {"dynamic": True}),
        ("IGRSR", "icr_weight", -1),
        ("IGRSR", "icr_temperature", 0),
        ("IGRSR", "p_mask", 1),
        ("IGRSR", "distiller_size", 7),
        ("IGRSR", "distiller_passes", 0),
        ("VELI4SBR", "n_neighbors", 0),
        ("VELI4SBR", "backbone", "Caser"),
        ("VELI4SBR", "intent_weight", NAN),
        ("ISRF", "align_weight", NAN),
        ("ISRF", "sigma", "0.1"),
        ("NARM", "dropout_probs", [0.25, "0.5"]),
        ("NCL", "ssl_temp", -0.1),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused_with_its_key_and_its_file(model, key, value, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({key: value}))
    for files, given, where in (([], {key: value}, f"--{key}: "), ([path], {}, f"{path}: {key}: ")):
        with pytest.raises(UserError) as caught:
            Config(model, "ml-100k", files, {"device": "cpu", **given})
        assert str(caught.value).startswith(where)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [NAN, float("inf"), [1, NAN], {"a": {"b": -float("inf")}}])
def test_no_value_holds_a_number_that_is_not_finite(value):
    for key in ("my_own", "load_col", "discretization"):
        with pytest.raises(UserError, match=rf"^--{key}: "):
            Config(
                "SASRec", "ml-100k", config_dict={"device": "cpu", key: value}, allow_unknown=True
            )


@pytest.mark.parametrize(
    ("key", "value", "nearest"),
    [
        ("windows", "strided2", "strided"),
        ("metrics", ["NDGC"], "ndcg"),
        ("learner", "Adan", "adam"),
        ("matmul_precision", "hihgest", "highest"),
    ],
)
def test_a_mistyped_choice_names_the_nearest(key, value, nearest):
    with pytest.raises(UserError, match=f"is not one of .*; did you mean {nearest}"):
        Config("SASRec", "ml-100k", config_dict={"device": "cpu", key: value})


def test_a_file_beside_the_dataset_is_checked_too(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text("MAX_ITEM_LIST_LENGTH: 0\n")
    with pytest.raises(UserError, match=r"mine\.yaml: MAX_ITEM_LIST_LENGTH: 0 is not a whole"):
        Config("SASRec", "mine", config_dict={"device": "cpu", "data_path": str(tmp_path)})


def test_a_file_of_another_model_or_dataset_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: GRU4Rec\n")
    with pytest.raises(UserError, match=r"mine\.yaml: model: 'GRU4Rec' contradicts --model=SASRec"):
        Config("SASRec", "ml-100k", [path])
    assert Config("GRU4Rec", "ml-100k", [path], {"device": "cpu"})["model"] == "GRU4Rec"
    path.write_text("dataset: ml-1m\n")
    with pytest.raises(UserError, match=r"mine\.yaml: dataset: 'ml-1m' contradicts"):
        Config("SASRec", "ml-100k", [path])


# Of runs that exist: keys that come later must leave them as they are (`Key.neutral`).
_IGRSR_BEFORE = {"item_init": "distiller", "icr_rescale": False}
FINGERPRINTS = [
    ("SASRec", {}, "758e452d51"),
    ("SASRec", {"task": "direct"}, "e33a0c3ba0"),
    ("GRU4Rec", {}, "18887f66d4"),
    ("BPR", {}, "103ad9e4c0"),
    ("LightGCN", {}, "869a94a645"),
    ("IGRSR", _IGRSR_BEFORE, "843a4ab6ee"),
    ("IGRSR", {**_IGRSR_BEFORE, "task": "direct"}, "e67588b1f6"),
    ("VELI4SBR", {}, "73610b8102"),
    ("ISRF", {"user_graph": "symmetric"}, "90dd315146"),
]


@pytest.mark.parametrize(("model", "options", "digest"), FINGERPRINTS)
def test_the_table_leaves_fingerprints_as_they_were(model, options, digest):
    from recbole_intent.runs.experiment import run_folder

    config = Config(model, "ml-100k", config_dict={"device": "cpu", **options})
    assert run_folder(config).name.rpartition("-")[2] == digest


def test_only_a_class_outside_the_table_is_part_of_the_identity():
    """Its name may be that of a registered model; a module of ours may move."""
    from recbole_intent.config.keys import in_fingerprint

    paths = ("recbole_intent.a.b:M", "recbole.model.general_recommender.bpr:BPR", "mine.models:M")
    kept = [in_fingerprint({"model_class": path}) for path in paths]
    assert kept == [{}, {}, {"model_class": "mine.models:M"}]


def test_a_class_outside_the_table_brings_its_rows(tmp_path, monkeypatch):
    (tmp_path / "own_keys_model.py").write_text(
        "from recbole.model.sequential_recommender import GRU4Rec\n"
        "from recbole_intent.config.key_kinds import Whole\n"
        "from recbole_intent.config.keys import Key\n"
        "KEYS = (Key('num_layers', Whole(2, 3), 'layers'),)\n"
        "class Mine(GRU4Rec): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="--num_layers: 4 is not a whole number from 2 to 3"):
        Config("own_keys_model:Mine", "ml-100k", config_dict={"device": "cpu", "num_layers": 4})


# --- Values without an effect --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("SASRec", {"n_candidates": 50}, "--n_candidates: has no effect with task: 'next-item'"),
        ("SASRec", {"distiller_size": 8}, "--distiller_size: .* with item_init: 'random'"),
        ("IGRSR", {"use_icr": False, "icr_weight": 0.7}, "--icr_weight: .* with use_icr: False"),
        ("IGRSR", {"use_lid": False, "n_intents": 2}, "--n_intents: .* with use_lid: False"),
        ("IGRSR", {"icr_views": "dropout", "p_mask": 0.5}, "--p_mask: .* icr_views: 'dropout'"),
        ("VELI4SBR", {"intents": "none", "n_neighbors": 3}, "--n_neighbors: .* intents: 'none'"),
        ("VELI4SBR", {"enrich": False, "enrich_every": 3}, "--enrich_every: .* enrich: False"),
        ("ISRF", {"align_weight": 0, "align_temperature": 0.5}, "--align_temperature: .* align_w"),
        ("ISRF", {"decode": "exact"}, "--decode: .* id_tokens: 'item'"),
    ],
    ids=str,
)
def test_a_value_without_an_effect_is_refused(model, options, message):
    config = Config(model, "ml-100k", config_dict={"device": "cpu", **options})
    with pytest.raises(UserError, match=message):
        config.refuse_idle()


def test_what_a_later_source_switches_off_is_a_warning(tmp_path, caplog):
    """An ablation on the command line, of a file with all settings."""
    path = tmp_path / "best.yaml"
    path.write_text("icr_weight: 0.7\n")
    Config("IGRSR", "ml-100k", [path], {"device": "cpu", "use_icr": False}).refuse_idle()
    assert "best.yaml: icr_weight: has no effect with use_icr: False" in caplog.text
    path.write_text("icr_weight: 0.7\nuse_icr: False\n")
    with pytest.raises(UserError, match=r"best\.yaml: icr_weight: has no effect"):
        Config("IGRSR", "ml-100k", [path], {"device": "cpu"}).refuse_idle()


def test_defaults_and_what_a_run_wrote_down_are_never_without_an_effect(tmp_path):
    made = Config("IGRSR", "ml-100k", config_dict={"device": "cpu", "use_icr": False})
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(made.plain()))
    Config("IGRSR", "ml-100k", [path], allow_unknown=True).refuse_idle()


def _compared(values: dict, **entries: dict) -> None:
    configs = {
        label: Config("IGRSR", "ml-100k", config_dict={"device": "cpu", **values, **own})
        for label, own in entries.items()
    }
    refuse_idle(configs, {label: own.keys() for label, own in entries.items()}, False)


def test_a_comparison_may_switch_off_what_is_given_for_all():
    _compared({"icr_weight": 0.7}, full={}, ablation={"use_icr": False})
    with pytest.raises(UserError, match="--icr_weight: has no effect with use_icr: False"):
        _compared({"icr_weight": 0.7}, one={"use_icr": False}, two={"use_icr": False})
    with pytest.raises(UserError, match="ablation: icr_weight: has no effect with use_icr: False"):
        _compared({}, full={}, ablation={"use_icr": False, "icr_weight": 0.7})


@pytest.mark.parametrize(
    "path", sorted((properties_dir().parent / "results").glob("*/*.yaml")), ids=lambda p: p.stem
)
def test_the_comparisons_of_the_results_give_nothing_in_vain(path):
    entries = read_entries([], str(path), "ml-100k")
    configs = {e.label: Config(e.model, "ml-100k", (), {"device": "cpu", **e.values})
               for e in entries}  # fmt: skip
    refuse_idle(configs, {entry.label: entry.values.keys() for entry in entries}, False)


def _made(**request) -> None:
    entries = [Entry("SASRec", "SASRec")]
    compare(Request("ml-100k", entries, **{"seeds": [2020], **request}))


def test_a_seed_next_to_seeds_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("seed: 5\n")
    with pytest.raises(UserError, match="--seed: 5 has no effect here; give --seeds=5"):
        _made(overrides={"seed": 5})
    with pytest.raises(UserError, match=r"mine\.yaml: seed: 5 has no effect here"):
        _made(config_files=[str(path)])


def test_a_search_looks_at_nothing_without_an_effect(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("icr_weight: [0.1, 0.3]\nn_layers: [1, 2]\n")
    config = Config("IGRSR", "ml-100k", config_dict={"device": "cpu", "use_icr": False})
    space, _ = read_space("IGRSR", path)
    with pytest.raises(UserError, match=r"space\.yaml: icr_weight: has no effect with use_icr"):
        without_idle(space, path, config, is_own=True)
    assert without_idle(space, path, config, is_own=False).keys() == {"n_layers"}
    path.write_text("icr_weight: [0.1, 0.3]\nuse_icr: [True, False]\n")
    space, _ = read_space("IGRSR", path)
    assert without_idle(space, path, config, is_own=True) == space


def test_bf16_products_are_for_cpus_that_have_them(monkeypatch, caplog):
    used = torch.get_float32_matmul_precision()
    try:
        monkeypatch.setattr(precision, "cpu_multiplies_bf16", lambda: False)
        assert precision.set_matmul_precision("medium", torch.device("cpu")) == "highest"
        assert torch.get_float32_matmul_precision() == "highest"
        assert "no bf16 instructions" in caplog.text
        assert precision.set_matmul_precision("medium", torch.device("cuda")) == "medium"
        monkeypatch.setattr(precision, "cpu_multiplies_bf16", lambda: True)
        assert precision.set_matmul_precision("medium", torch.device("cpu")) == "medium"
    finally:
        torch.set_float32_matmul_precision(used)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topk": [5, 41], "valid_metric": "NDCG@5"}, "--topk: 41 is more than the 40 items"),
        ({"topk": 12, "task": "direct", "n_candidates": 10, "valid_metric": "NDCG@12"},
         "--topk: 12 is more than the 11 candidates"),
    ],
)  # fmt: skip
def test_lists_as_long_as_all_that_is_ranked_are_refused(tiny, options, message):
    with pytest.raises(UserError, match=message):
        build(tiny("BPR", **options))


@pytest.mark.parametrize(
    "path",
    sorted((properties_dir() / "preset").glob("*/*.yaml")),
    ids=lambda p: f"{p.parent.name}-{p.stem}",
)
def test_presets_satisfy_the_rows(path):
    table = key_table(get_spec(path.stem).keys)
    whole = read_yaml(path)
    for values in (*whole.pop("datasets", {}).values(), whole):
        _satisfy(table, values)


def _satisfy(table, values):
    assert [key for key in values if key not in table.rows] == []
    assert {key: table.mistake(key, value) for key, value in values.items()} == dict.fromkeys(
        values
    )
