"""RecBole's models that are not trained here say why, by name and by path."""

import importlib
import inspect

import pytest

from recbole_intent.cli.main import main
from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.utils import compat
from recbole_intent.utils.errors import UserError

LOOP, DATA = "has a training loop of its own", "has a dataset of its own"
CONTEXT, KNOWLEDGE = "is a context-aware model", "is a knowledge-aware model"


def recboles_models() -> dict[str, type]:
    compat.apply()
    found = {}
    for kind in ("general", "sequential", "context_aware", "knowledge_aware"):
        module = importlib.import_module(f"recbole.model.{kind}_recommender")
        found |= {name: c for name, c in vars(module).items() if inspect.isclass(c)}
    return found


def test_every_model_of_recbole_is_known():
    for name, model in recboles_models().items():
        if name in model_names():
            continue
        for given in (name, name.lower()):
            with pytest.raises(UserError, match=rf"--model={given}: RecBole's {name} ") as caught:
                get_spec(given)
        path = f"{model.__module__}:{name}"
        if "is not supported" in str(caught.value):
            with pytest.raises(UserError, match="is not supported"):
                get_spec(path)
        else:
            assert path in str(caught.value)
            assert get_spec(path).name == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("S3Rec", LOOP),
        ("RaCT", LOOP),
        ("recbole.model.general_recommender.recvae:RecVAE", LOOP),
        ("recbole.model.sequential_recommender:S3Rec", LOOP),
        ("DIEN", DATA),
        ("KSR", DATA),
        ("KGAT", KNOWLEDGE),
        ("CFKG", KNOWLEDGE),
        ("xDeepFM", CONTEXT),
        ("recbole.model.context_aware_recommender.fm:FM", CONTEXT),
        ("DIN", "predicts clicks"),
        ("LightGBM", "decision trees"),
        ("recbole.model.exlib_recommender.xgboost:XGBoost", "decision trees"),
    ],
)
def test_the_reason_is_said(capsys, name, reason):
    assert main([f"--model={name}", "--dataset=ml-100k"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert reason in err
    assert err.endswith("is not supported\n")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def broken(:\n", "importing it fails: SyntaxError"),
        ("1 / 0\n", "importing it fails: ZeroDivisionError"),
        ("import os\nos.no_such_thing\n", "importing it fails: AttributeError"),
        ("import no_such_module_at_all\n", "cannot import no_such_module_at_all"),
        ("Mine = 3\n", "Mine is not a RecBole model"),
        (
            "from recbole.model.context_aware_recommender import FM\nclass Mine(FM):\n    pass\n",
            "Mine is neither a general nor a sequential model",
        ),
        (
            "from recbole.model.abstract_recommender import AbstractRecommender as A\n"
            "class Mine(A):\n    pass\n",
            "Mine is neither a general nor a sequential model",
        ),
    ],
    ids=range(7),
)
def test_a_class_of_the_user_that_cannot_be_taken(tmp_path, monkeypatch, source, message):
    name = f"mine_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        get_spec(f"{name}:Mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", [":A", "a:", ".a:B", "..:B", "recbole:"])
def test_what_is_no_path(path):
    with pytest.raises(UserError, match=r"not of the form package\.module:Class"):
        get_spec(path)
