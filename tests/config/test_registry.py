"""The table of models."""

import dataclasses

import pytest

from recbole_intent.config import registry
from recbole_intent.config.registry import ModelSpec, get_spec, model_names, register
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.utils.errors import UserError


def test_every_entry_is_what_it_says():
    for name in model_names():
        spec = get_spec(name)
        assert spec.name == name
        for fast in (True, False):
            assert spec.model_class(fast=fast).__name__ == name
        assert callable(spec.trainer_class())


def test_every_entry_says_where_the_model_comes_from():
    for name in model_names():
        spec = get_spec(name)
        assert spec.title, name
        assert spec.url.startswith("https://"), name
        assert spec.family in ("sequential", "session", "general", "generative"), name
        if spec.fast == "shared passes":
            assert issubclass(spec.model_class(), NextItemMixin), name


def test_the_untouched_class_is_recboles():
    for name in ("SASRec", "GRU4Rec"):
        spec = get_spec(name)
        assert spec.model_class(fast=False).__module__.startswith("recbole.")
        assert issubclass(spec.model_class(), spec.model_class(fast=False))
    assert get_spec("BPR").model_class() is get_spec("BPR").model_class(fast=False)


def test_a_registered_model_is_found(monkeypatch):
    table = dict(registry._table())
    monkeypatch.setattr(registry, "_table", lambda: table)
    mine = dataclasses.replace(get_spec("SASRec"), name="MyRec", reference=None)
    register(mine)
    assert get_spec("MyRec") is mine
    assert "MyRec" in model_names()
    with pytest.raises(UserError, match="nearest: MyRec"):
        get_spec("MyRecs")


def test_a_class_by_its_path_gets_plain_rows():
    path = "recbole.model.sequential_recommender.sasrec:SASRec"
    keys = get_spec("SASRec").keys  # a key means the same
    assert get_spec(path) == ModelSpec("SASRec", path, keys=keys)
    assert not get_spec(path).trim


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sasrec", "no such model; nearest: SASRec"),
        ("LightGNC", "nearest: LightGCN"),
        ("no.such:Model", "cannot import no"),
        ("collections:NoModel", "module collections has no 'NoModel'"),
        (":Model", "not of the form package.module:Class"),
        ("collections:", "not of the form package.module:Class"),
        ("collections:OrderedDict", "is not a RecBole model"),
    ],
)
def test_what_is_not_a_model_is_named(name, message):
    with pytest.raises(UserError, match=message):
        get_spec(name)
