"""The embedded model, for real: answers in form by construction, likelihoods, five sessions."""

import json
import math

import jsonschema
import pytest

from recbole_intent.data.formats.intent_files import read_intents
from recbole_intent.data.formats.profile_files import profile_path, read_profiles
from recbole_intent.data.formats.record_files import read_manifest
from recbole_intent.enrich.intents.answers import intents_schema, prediction_schema
from recbole_intent.enrich.intents.likelihood import best
from recbole_intent.enrich.intents.pipeline import enrich
from recbole_intent.enrich.options import ProfileOptions, read_options
from recbole_intent.enrich.profiles.answers import description_schema
from recbole_intent.enrich.profiles.pipeline import enrich_profiles
from recbole_intent.enrich.prompts import prompt
from recbole_intent.llm.client import ChatRequest
from recbole_intent.llm.embedded import EmbeddedModel, EmbeddedScorer, EmbeddedSource
from recbole_intent.llm.schemas import form_of, scores_schema
from recbole_intent.llm.sources import RequestFailed

ASKED = ({"role": "user", "content": "Why do people buy lamps? Answer in JSON."},)
POOL = ["light for reading", "a gift", "home decoration"]


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    return EmbeddedModel("bfloat16")


@pytest.mark.parametrize(
    "schema",
    [
        intents_schema(3),
        intents_schema(3, POOL),
        prediction_schema(2, ["B0001", "B0002"], POOL, reason=False),
    ],
)
def test_answers_are_in_form(model, schema):
    done = model.complete(ChatRequest(ASKED, schema, max_tokens=40))
    jsonschema.validate(json.loads(done.text), schema)
    assert done.prompt_tokens > 10
    intents = json.loads(done.text)["intents"]
    assert len(set(intents)) == len(intents)
    assert model.complete(ChatRequest(ASKED, schema, max_tokens=40)) == done


def test_plain_text_ends_where_it_should(model):
    done = model.complete(ChatRequest(ASKED, max_tokens=5))
    assert 0 < done.completion_tokens <= 5
    assert done.text


def test_a_text_that_goes_round_in_circles_ends(model):
    schema = description_schema(reason=False)
    shown = "GoldenEye. release year: 1995. class: Action Adventure Thriller"
    asked = prompt("item_forward").messages(domain="films", form=form_of(schema), shown=shown)
    done = model.complete(ChatRequest(asked, schema, max_tokens=150))
    words = json.loads(done.text)["description"].split()
    assert 0 < done.completion_tokens < 150
    runs = [tuple(words[start : start + 12]) for start in range(len(words) - 11)]
    assert len(set(runs)) == len(runs)


def test_sampling_follows_the_seed(model):
    texts = [
        model.complete(ChatRequest(ASKED, temperature=1.0, seed=s, max_tokens=12)).text
        for s in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_likely_answer_has_the_higher_likelihood(model):
    asked = ({"role": "user", "content": "Which city is the capital of France?"},)
    cities = ["Paris", "Banana split", "Paris"]
    scores = model.likelihood(asked, cities)
    assert scores[0] > scores[1]
    assert all(score < 0 for score in scores)
    # Beside others, padded, as alone.
    assert model.likelihood(asked, ["Paris"])[0] == pytest.approx(scores[0], abs=0.05)
    assert scores[2] == pytest.approx(scores[0], abs=0.05)


def test_a_longer_text_is_less_likely_than_its_beginning(model):
    whole, begin = model.likelihood(ASKED, ["lamp lamp", "lamp"])
    assert whole < begin
    assert math.isfinite(whole)


def test_what_is_too_long_fails_alone(model):
    long = ({"role": "user", "content": "word " * 9000},)
    with pytest.raises(RequestFailed, match="lower --session_shown"):
        model.complete(ChatRequest(long))


def test_other_schemas_are_refused(model):
    with pytest.raises(ValueError, match="'integer' cannot be written"):
        model.complete(ChatRequest(ASKED, {"type": "integer"}))


def test_the_best_and_its_lead():
    assert best(["a", "b", "c"], [1.0, 3.0, 2.5]) == ("b", 0.5)
    assert best(["a", "b"], [1.0, 1.0]) == ("a", 0.0)
    assert best(["a"], [1.0]) == ("a", math.inf)


def test_a_source_scores_and_is_known_by_its_model(model):
    import asyncio

    scorer, source = EmbeddedScorer(model), EmbeddedSource(model)
    request = ChatRequest(ASKED, scores_schema(["light", "light"]))
    one, other = json.loads(asyncio.run(scorer.complete(request)).text)
    assert one == pytest.approx(other, abs=0.05)
    assert (scorer.name, source.name) == ("embedded-likelihood", "embedded")
    assert "bfloat16" in source.model


def test_five_sessions_with_and_without_likelihood(shop, tmp_path, model, monkeypatch):
    # One reading of the weights serves all tests of this file.
    monkeypatch.setattr("recbole_intent.llm.providers.EmbeddedModel", lambda dtype: model)
    small = {
        "llm.source": "embedded",
        "llm.max_tokens": 24,
        "limit": 5,
        "attempts": 2,
        "negatives": 2,
        "session_shown": 3,
        "features_shown": 1,
        "pool_size": 4,
        "intents_per_session": 1,
        "refine_features": False,
    }
    found = {}
    for kind in ("generate", "likelihood"):
        first_pool = "llm" if kind == "generate" else "metadata"
        options = read_options(given={**small, "validate": kind, "first_pool": first_pool})
        where = {"output": tmp_path / kind, "cache": tmp_path / kind / "answers"}
        done = enrich("shop", options, shop, **where)
        found[kind] = list(read_intents(done.folder / "shop.intent"))
        assert len(found[kind]) == 5
        assert all(line.passed == bool(line.intents) for line in found[kind])
        assert "chance" in done.report
        again = enrich("shop", options, shop, **where)
        assert again.asked == 0
    manifest = read_manifest(tmp_path / "likelihood" / "shop.intent.manifest.json")
    assert manifest["source"] == "embedded"
    assert "score_item" in manifest["prompts"]


def test_texts_of_an_item_and_a_user(market, tmp_path, model, monkeypatch):
    monkeypatch.setattr("recbole_intent.llm.providers.EmbeddedModel", lambda dtype: model)
    small = {"llm.source": "embedded", "llm.max_tokens": 12, "limit": 1, "users_sample": 2}
    options = read_options(given={**small, "steps": "texts"}, kind=ProfileOptions)
    where = {"output": tmp_path, "cache": tmp_path / "answers"}
    done = enrich_profiles("market", options, market, **where)
    assert (done.asked, done.share) == (6, 1)
    for kind in ("item", "user"):
        first, *rest = read_profiles(profile_path(tmp_path, "market", kind))
        assert first.source == "llm"
        assert all((first.positive, first.negative, first.fused))
        assert {profile.source for profile in rest} == {"metadata"}
    assert enrich_profiles("market", options, market, **where).asked == 0
