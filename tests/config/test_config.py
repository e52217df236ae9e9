"""Configuration: which value wins, and of what type it is."""

import pytest
import torch
import yaml

from recbole_intent.config.config import Config
from recbole_intent.config.registry import model_names
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import parse_value, read_yaml


def _config(model="SASRec", dataset="ml-100k", files=(), allow_unknown=False, **options):
    return Config(model, dataset, files, {"device": "cpu", **options}, allow_unknown)


@pytest.fixture
def file(tmp_path):
    def write(name: str, text: str):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_later_sources_win(file):
    """RecBole's overall < ours < model < dataset < files in order < the command's values."""
    assert _config()["valid_metric"] == "NDCG@10"  # ours; RecBole has MRR@10
    assert _config()["inner_size"] == 256  # RecBole's SASRec
    assert _config("IGRSR")["norm"] == "paper"  # our model file
    assert _config(dataset="ml-100k")["USER_ID_FIELD"] == "user_id"
    one, two = file("1.yaml", "epochs: 1\nseed: 1\nstopping_step: 1\n"), file("2.yaml", "seed: 2\n")
    made = _config(files=[one, two], stopping_step=3)
    assert (made["epochs"], made["seed"], made["stopping_step"]) == (1, 2, 3)
    assert _config(files=[two, one])["seed"] == 1


def test_no_command_line_is_read(monkeypatch):
    monkeypatch.setattr("sys.argv", ["pytest", "--epochs=77", "--seed=5"])
    made = _config()
    assert made["epochs"] != 77
    assert made["seed"] == 2020


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        ("-2.5E+1", -25.0),
        (".5", 0.5),
        ("10", 10),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("[1, 2]", [1, 2]),
        ("[Recall, NDCG]", ["Recall", "NDCG"]),
        ("{ratio: 0.2, kind: insert}", {"ratio": 0.2, "kind": "insert"}),
        ("NDCG@10", "NDCG@10"),
        ("[0,inf)", None),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("1+1", "1+1"),
        ("1e-3x", "1e-3x"),
    ],
)
def test_values_are_typed_and_never_evaluated(text, value):
    if text == "[0,inf)":  # an interval needs quotes, as in YAML
        with pytest.raises(UserError, match="cannot read the value") as caught:
            parse_value(text)
        assert "\n" not in str(caught.value)
        assert parse_value(f"'{text}'") == text
        return
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_strings_are_not_evaluated_in_files_or_options(file):
    made = _config(files=[file("a.yaml", "state: 1+1\n")], checkpoint_dir="2*3")
    assert made["state"] == "1+1"
    assert made["checkpoint_dir"] == "2*3"
    assert read_yaml(file("b.yaml", "learning_rate: 5e-4\n")) == {"learning_rate": 0.0005}


def test_cross_entropy_samples_no_negatives():
    assert _config(loss_type="CE")["train_neg_sample_args"]["distribution"] == "none"
    assert _config(loss_type="BPR")["train_neg_sample_args"]["distribution"] == "uniform"
    assert _config("BPR")["train_neg_sample_args"]["distribution"] == "uniform"
    assert _config("IGRSR")["train_neg_sample_args"]["distribution"] == "none"
    with pytest.raises(UserError, match="train_neg_sample_args"):
        _config(loss_type="CE", train_neg_sample_args={"distribution": "uniform"})


def test_a_part_of_eval_args_changes_that_part():
    made = _config("BPR", eval_args={"split": {"RS": [0.8, 0.1, 0.1]}})["eval_args"]
    assert made["split"] == {"RS": [0.8, 0.1, 0.1]}
    assert made["order"] == "TO"  # RecBole alone would fall back to a random order
    assert made["group_by"] == "user"


def test_every_model_has_the_same_protocol():
    protocols = []
    for model in ("IGRSR", "SASRec", "BERT4Rec", "BPR", "Pop", "SASRecF"):
        made = _config(model)
        protocols.append(
            [made[k] for k in ("eval_args", "metrics", "topk", "valid_metric", "seed")]
        )
    assert all(protocol == protocols[0] for protocol in protocols)


def test_columns_to_load_follow_the_fields():
    assert _config()["load_col"] == {"inter": ["user_id", "item_id", "timestamp"]}
    assert _config(dataset="anything")["load_col"] == {"inter": ["user_id", "item_id", "timestamp"]}
    made = _config(dataset="anything", USER_ID_FIELD="session_id", TIME_FIELD="time")
    assert made["load_col"] == {"inter": ["session_id", "item_id", "time"]}
    assert _config("SASRecF")["load_col"]["item"] == ["item_id", "class"]
    assert _config("FDSA", selected_features=["a", "b"])["load_col"]["item"] == [
        "item_id",
        "a",
        "b",
    ]
    given = {"inter": ["user_id", "item_id", "rating", "timestamp"]}
    assert _config(load_col=given)["load_col"] == given


def test_device():
    assert _config()["device"] == torch.device("cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        assert _config(device="auto")["device"] == torch.device("cpu")
        with pytest.raises(UserError, match="torch finds none"):
            _config(device="cuda")
        patch.setattr(torch.cuda, "is_available", lambda: True)
        assert _config(device="auto")["device"] == torch.device("cuda")
        assert _config(device="cuda:1")["device"] == torch.device("cuda:1")
        assert _config(device="auto", use_gpu=False)["device"] == torch.device("cpu")
    with pytest.raises(UserError, match="not a torch device"):
        _config(device="fpga9")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "--epoch: unknown key; did you mean epochs?"),
        ({"n_prefix": 3}, "--n_prefix: unknown key"),  # of IGRSR, and SASRec has none
        ({"learning_rate": "1e-3x"}, "--learning_rate: '1e-3x' is not a number"),
        ({"task": "direkt"}, "--task: 'direkt' is not one of next-item, sequential, direct"),
        ({"n_candidates": 0}, "--n_candidates: 0 is not a whole number from 1"),
        ({"candidates_seed": -1}, "--candidates_seed: -1 is not a whole number from 0"),
        ({"mask_history": "Flase"}, "--mask_history: 'Flase' is neither True nor False"),
        ({"tensorboard": 1}, "--tensorboard: 1 is neither"),
        ({"learning_rate": None}, "--learning_rate: None is not a number"),
        ({"learning_rate": -1}, "--learning_rate: -1 is not a number from 0"),
        ({"epochs": 1.5}, "--epochs: 1.5 is not a whole number from 1"),
        ({"train_batch_size": 0}, "--train_batch_size: 0 is not a whole number from 1"),
        ({"seed": -1}, "--seed: -1 is not a whole number"),
        ({"threads": "all"}, "--threads: 'all' is not a whole number"),
        ({"hidden_dropout_prob": 2}, "--hidden_dropout_prob: 2 is not a number in 0 .. 1"),
        ({"checkpoint_dir": 5}, "--checkpoint_dir: 5 is not a word"),
        ({"clip_grad_norm": 1.0}, "--clip_grad_norm: 1.0 is not a mapping"),
        ({"hidden_act": "elu"}, "--hidden_act: 'elu' is not one of gelu"),
        ({"loss_type": "XX"}, "loss_type: 'XX' is not one of CE, BPR"),
        ({"n_heads": 3}, "--n_heads: 3 is not a divisor of hidden_size 64"),
        ({"gpu_id": 1}, "--gpu_id: has no effect here; name the GPU by device"),
        ({"save_dataset": True}, "--save_dataset: has no effect here"),
        ({"enable_amp": True}, "--enable_amp: has no effect here; precision: bf16"),
        ({"eval_args": {"grop_by": "none"}}, "eval_args: unknown part 'grop_by'"),
        ({"eval_args": "LS"}, "eval_args"),
        ({"topk": [0]}, "topk"),
        ({"metrics": ["Recal"]}, "Recal"),
    ],
    ids=str,
)
def test_mistakes_are_named_in_one_line(options, message):
    with pytest.raises(UserError) as caught:
        _config(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_of_the_command_is_not_blamed_on_a_file(file):
    with pytest.raises(UserError, match=r"^--epochs: 0 is not"):
        _config(files=[file("a.yaml", "epochs: 3\n")], epochs=0)
    with pytest.raises(UserError, match=r"a\.yaml: epochs: 0 is not"):
        _config(files=[file("a.yaml", "epochs: 0\n")])


def test_a_folder_for_a_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read: Is a directory"):
        _config(files=[tmp_path])


@pytest.mark.parametrize("model", model_names())
def test_what_a_run_writes_down_gives_that_run_again(model, tmp_path):
    made = _config(model)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(made.plain()))
    assert Config.of_run(tmp_path).plain() == made.plain()


def test_unknown_keys_on_demand():
    assert _config(my_key=3, allow_unknown=True)["my_key"] == 3


def test_plain_values_survive_yaml():
    """What is written as config.yaml is what is compared with when the run goes on."""
    for model in ("SASRec", "IGRSR", "BPR", "GRU4RecF"):
        plain = _config(model, noise={"ratio": 0.2}, clip_grad_norm={"max_norm": 1.0}).plain()
        assert yaml.safe_load(yaml.safe_dump(plain)) == plain


def test_a_user_file_does_not_change_the_defaults(file):
    before = _config().plain()
    _config(
        train_neg_sample_args={"sample_num": 9}, loss_type="BPR", topk=[3], valid_metric="MRR@3"
    )
    assert _config().plain() == before


def test_a_class_of_the_user_has_the_defaults_of_the_model_it_derives_from(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from recbole.model.sequential_recommender import GRU4Rec\n"
        "from recbole_intent.models.igrsr.model import IGRSR\n"
        "class Mine(GRU4Rec): pass\n"
        "class Guided(IGRSR): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine, usual = Config("mine:Mine", "ml-100k"), Config("GRU4Rec", "ml-100k")
    assert (mine["loss_type"], mine["num_layers"]) == ("CE", usual["num_layers"])
    assert mine["embedding_size"] == usual["embedding_size"]
    assert Config("mine:Guided", "ml-100k", config_dict={"n_intents": 3})["n_intents"] == 3
    with pytest.raises(UserError, match="n_intent"):
        Config("mine:Mine", "ml-100k", config_dict={"n_intents": 3})
