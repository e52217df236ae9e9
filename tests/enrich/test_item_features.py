"""Features of items: asked again where malformed, the raw fields where nothing helps."""

import json

import pytest

from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.enrich.conversation import Manner
from recbole_intent.enrich.item_features import in_chunks, raw_features, refine_features
from recbole_intent.enrich.report import StepCounts


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "d.item"
    path.write_text("item_id:token\ttitle:token_seq\tbrand:token\na\ta lamp\tIkea\nb\t\t\n")
    return ItemTexts(path, ["a", "b"])


def refine(texts, asker, codes=(0, 1)):
    counts = StepCounts()
    how = {"domain": "shop", "most": 2, "attempts": 3, "counts": counts}
    return dict(refine_features(asker, texts, codes, Manner(0.0, 50, 1), **how)), counts


def test_answers_become_features(texts, serve, reply, ask_of):
    server = serve(
        lambda *_: reply(json.dumps({"features": [" red\nlamp ;", "", "red lamp", "x"]}))
    )
    found, counts = refine(texts, ask_of(server.url))
    assert found == {0: ("red lamp", "x"), 1: ("red lamp", "x")}
    assert (counts.done, counts.failed, counts.tokens) == (2, 0, (14, 6))
    shown = {body["messages"][1]["content"] for body in server.bodies()}
    assert shown == {"title: a lamp\nbrand: Ikea", "id: b"}


def test_a_malformed_answer_is_corrected(texts, serve, reply, ask_of):
    def script(body, _):
        is_first = len(body["messages"]) == 2
        return reply("I would say: red" if is_first else '{"features": ["red"]}')

    server = serve(script)
    found, counts = refine(texts, ask_of(server.url), [0])
    assert found == {0: ("red",)}
    assert counts.tokens == (14, 6)
    told = server.bodies()[1]["messages"]
    assert told[2] == {"role": "assistant", "content": "I would say: red"}
    assert "cannot be used: no JSON in the answer" in told[3]["content"]
    assert '"features" (a list of texts)' in told[3]["content"]


def test_where_nothing_helps_the_raw_fields_stand(texts, serve, reply, error_reply, ask_of):
    def script(body, _):
        is_lamp = "lamp" in body["messages"][1]["content"]
        return reply("never") if is_lamp else error_reply(400, "no")

    server = serve(script)
    found, counts = refine(texts, ask_of(server.url))
    assert found == {0: raw_features(texts, 0), 1: ("b",)} == {0: ("a lamp", "Ikea"), 1: ("b",)}
    assert (counts.done, counts.failed) == (0, 2)
    assert counts.reasons["malformed answers"] == 1


def test_chunks_hold_all_in_order():
    assert list(in_chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(in_chunks([], 3)) == []
