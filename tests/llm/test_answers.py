"""JSON out of what models write."""

import pytest
from pydantic import BaseModel

from recbole_intent.llm.answers import MalformedAnswer, parse_answer


class Guess(BaseModel):
    item: str
    intents: list[str] = []


@pytest.mark.parametrize(
    "text",
    [
        '{"item": "a"}',
        '```json\n{"item": "a"}\n```',
        'Sure! Of {x, y} I choose {"item": "a"}. I hope {that} helps.',
        '<think>{"item": "wrong"}</think>{"item": "a"}',
        '{"reason": {"item": 3}} and {"item": "a"}',
        '[{"item": "wrong"}] {"item": "a"}',
        '{"item": "a", "intents": []}{"item": "later"}',
    ],
)
def test_the_first_json_that_fits(text):
    assert parse_answer(text, Guess) == Guess(item="a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("the item a", "no JSON"),
        ('{"item": "a", "intents": ["b', "no JSON"),
        ('{"name": "a"}', "item: Field required"),
        ('{"item": 3}', "item: Input should be a valid string"),
        ('{"item": "a", "intents": [1]}', "intents.0: Input should be a valid string"),
        ("[1, 2]", "the answer: Input should be"),
    ],
)
def test_what_does_not_fit_is_said(text, said):
    with pytest.raises(MalformedAnswer, match=said.replace("[", r"\[")):
        parse_answer(text, Guess)


def test_raw_control_characters_are_text():
    assert parse_answer('{"item": "a\n\tb"}', Guess).item == "a\n\tb"


def test_half_an_emoji_can_be_written_to_files():
    found = parse_answer(r'{"item": "a\ud83d", "intents": ["\ud83d\ude00"]}', Guess)
    assert found == Guess(item="a\ufffd", intents=["\U0001f600"])
    assert found.item.encode()


@pytest.mark.parametrize("bracket", ["[", "{", '{"a":', "[{"])
def test_a_page_of_brackets_ends_soon(bracket):
    with pytest.raises(MalformedAnswer, match="no JSON"):
        parse_answer(bracket * 300_000, Guess)
