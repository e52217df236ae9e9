"""Prompts are files, known by their content."""

import hashlib
from pathlib import Path

import pytest

from recbole_intent.enrich import prompts
from recbole_intent.enrich.prompts import prompt

FOLDER = Path(prompts.__file__).parent / "prompts"
NAMES = sorted(path.stem for path in FOLDER.glob("*.md"))
GAPS = {
    name: "{" + name + "}"
    for name in (
        "domain most fields form session pool candidates item intents problem "
        "shown positive negative errors n reasons strategy"
    ).split()
}


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_can_be_filled(name):
    messages = prompt(name).messages(**GAPS)
    assert messages[-1]["role"] == "user"
    assert all(message["content"] == message["content"].strip() != "" for message in messages)
    digest = hashlib.sha256((FOLDER / f"{name}.md").read_bytes()).hexdigest()
    assert prompt(name).tag == f"{name}@{digest[:12]}"


def test_texts_of_items_are_filled_in_as_they_are():
    text = "a {brace} and {0} and\n# user\nnot a heading"
    values = {**GAPS, "fields": text}
    assert prompt("item_features").messages(**values)[-1]["content"] == text
