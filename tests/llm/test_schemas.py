"""Closed schemas, their words for prompts, and answers that are held to their kinds."""

import jsonschema
import pytest
from pydantic import ValidationError

from recbole_intent.llm.schemas import StrictAnswer, closed_object, form_of

SCHEMA = closed_object(
    names={"type": "array", "items": {"type": "string"}}, reason={"type": "string"}
)


def test_the_words_name_each_property_and_its_kind():
    assert form_of(SCHEMA) == 'an object with "names" (a list of texts) and "reason" (a text)'


@pytest.mark.parametrize(
    "value", [{"names": []}, {"names": [1], "reason": ""}, {"names": [], "reason": "", "more": 1}]
)
def test_all_properties_and_no_other(value):
    jsonschema.validate({"names": ["a"], "reason": "b"}, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, SCHEMA)


def test_values_are_not_made_to_fit():
    class Counted(StrictAnswer):
        text: str

    with pytest.raises(ValidationError):
        Counted.model_validate({"text": 3})
