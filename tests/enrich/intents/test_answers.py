"""Answers of the right form pass, and the schemas ask for no other."""

import json

import jsonschema
import pytest

from recbole_intent.enrich.intents.answers import (
    Features,
    Intents,
    Prediction,
    features_schema,
    intents_schema,
    prediction_schema,
)
from recbole_intent.llm.answers import MalformedAnswer, parse_answer
from recbole_intent.llm.schemas import form_of

GOOD = {"intents": ["a gift"], "next_item": "17", "reason": "it fits"}


def test_a_number_is_an_id_too():
    assert parse_answer(json.dumps({**GOOD, "next_item": 17}), Prediction).next_item == "17"
    assert parse_answer(json.dumps(GOOD), Prediction).next_item == "17"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Prediction, {**GOOD, "next_item": True}),
        (Prediction, {**GOOD, "next_item": 1.5}),
        (Prediction, {**GOOD, "next_item": ["17"]}),
        (Prediction, {**GOOD, "intents": []}),
        (Prediction, {**GOOD, "intents": "a gift"}),
        (Prediction, {"next_item": "17"}),
        (Intents, {"intents": [1]}),
        (Features, {"features": None}),
    ],
)
def test_other_forms_are_malformed(kind, value):
    with pytest.raises(MalformedAnswer):
        parse_answer(json.dumps(value), kind)


@pytest.mark.parametrize(
    ("schema", "kind", "value"),
    [
        (features_schema(2), Features, {"features": ["a"]}),
        (intents_schema(2), Intents, {"intents": ["a", "b"]}),
        (prediction_schema(2), Prediction, GOOD),
        (prediction_schema(2, reason=False), Prediction, {"intents": ["a"], "next_item": "x"}),
    ],
)
def test_the_schema_asks_for_what_the_model_takes(schema, kind, value):
    jsonschema.validate(value, schema)
    parse_answer(json.dumps(value), kind)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**value, "more": 1}, schema)
    for name in value:
        assert f'"{name}"' in form_of(schema)


def test_candidates_may_be_named():
    schema = prediction_schema(2, ["17", "18"])
    jsonschema.validate(GOOD, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**GOOD, "next_item": "19"}, schema)
