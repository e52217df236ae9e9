"""Descriptions: one text, after its reasons where they are asked for."""

import json

import jsonschema
import pytest

from recbole_intent.enrich.profiles.answers import Description, description_schema
from recbole_intent.llm.answers import MalformedAnswer, parse_answer


@pytest.mark.parametrize("reason", [True, False])
def test_the_schema_asks_for_what_the_model_takes(reason):
    schema = description_schema(reason=reason)
    value = {"reasoning": "so", "description": " who likes it "} if reason else {"description": "a"}
    jsonschema.validate(value, schema)
    found = parse_answer(json.dumps(value), Description)
    assert found.description == value["description"].strip()
    assert list(schema["properties"])[-1] == "description"  # the reasons come first


@pytest.mark.parametrize("value", [{}, {"description": " "}, {"description": ["a"]}])
def test_other_forms_are_malformed(value):
    with pytest.raises(MalformedAnswer):
        parse_answer(json.dumps(value), Description)
