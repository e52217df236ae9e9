"""Forward, backward, fused: each question knows the answers before it."""

import json

import pytest

from recbole_intent.enrich.conversation import Manner
from recbole_intent.enrich.profiles.profiles import AskOptions, ask_profiles
from recbole_intent.enrich.report import StepCounts

ITEMS = ["lamp 1. brand: A", "chair 2. brand: {B}", "rug 3"]


def options(**given) -> AskOptions:
    values = {"domain": "market", "attempts": 2, "reason": True}
    return AskOptions(manner=Manner(0.0, 64, 1), **{**values, **given})


def test_each_question_has_the_answers_before_it(serve, ask_of, market_model):
    server = serve(market_model)
    counts = StepCounts()
    found = list(ask_profiles(ask_of(server.url), "item", ITEMS, options(), counts))
    assert found[0] == ("like: lamp 1", "dislike: lamp 1", "key features: lamp 1")
    assert [texts[0] for texts in found] == ["like: lamp 1", "like: chair 2", "like: rug 3"]
    assert (counts.done, counts.failed, counts.tokens) == (3, 0, (9 * 7, 9 * 3))
    asked = [body["messages"][1]["content"] for body in server.bodies()]
    assert len(asked) == 9
    assert sum(text in ITEMS for text in asked) == 3  # forward: the fields alone
    fused = next(text for text in asked if "lamp 1" in text and "Who may dislike" in text)
    assert fused.endswith("like it: like: lamp 1\n\nWho may dislike it: dislike: lamp 1")
    systems = {body["messages"][0]["content"].splitlines()[0] for body in server.bodies()}
    assert systems == {"You explain items of a market catalogue for a recommender."}


@pytest.mark.parametrize("at_once", [1, 3])
def test_how_many_go_together_changes_nothing_but_the_order(serve, ask_of, market_model, at_once):
    server = serve(market_model)
    asked = ["- lamp 1. brand: A\n- rug 3", "- chair 2"]
    asker = ask_of(server.url)
    asker.at_once = at_once
    found = list(ask_profiles(asker, "user", asked, options(), StepCounts()))
    assert found == [
        ("like: lamp 1", "dislike: lamp 1", "core interests: lamp 1"),
        ("like: chair 2", "dislike: chair 2", "core interests: chair 2"),
    ]


def test_one_unusable_answer_leaves_no_texts(serve, ask_of, market_model, reply, error_reply):
    def script(body, before):
        system, asked = (message["content"] for message in body["messages"][:2])
        if "chair" in asked and "dislike, " not in system and "may dislike it, and why" in system:
            return reply("I would rather not say")
        if "rug" in asked and "key features" in system:
            return error_reply(400, "no such words here")
        return market_model(body, before)

    server = serve(script)
    counts = StepCounts()
    found = list(ask_profiles(ask_of(server.url), "item", ITEMS, options(), counts))
    assert found[0] is not None
    assert found[1:] == [None, None]
    assert counts.reasons == {"malformed answers": 1, "HTTP 400": 1}
    # Asked twice in all, the second time with what was wrong; and nothing after it.
    of_chair = [body for body in server.bodies() if "chair" in json.dumps(body)]
    assert len(of_chair) == 3
    assert "cannot be used" in of_chair[-1]["messages"][-1]["content"]


def test_no_reasons_where_none_are_wanted(serve, ask_of, market_model):
    server = serve(market_model)
    list(ask_profiles(ask_of(server.url), "item", ITEMS[:1], options(reason=False), StepCounts()))
    assert not any('"reasoning" (a text)' in json.dumps(body) for body in server.bodies())
