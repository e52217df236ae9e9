"""The pool holds each intent once, however it is written."""

import pytest

from recbole_intent.data.formats.wording import clean_intent, normal_form
from recbole_intent.enrich.intents.pool import IntentPool


@pytest.mark.parametrize(
    "text", ["Budget-friendly", "budget friendly", " BUDGET  FRIENDLY. ", '"budget_friendly"']
)
def test_case_space_and_punctuation_do_not_count(text):
    pool = IntentPool(["Budget-friendly"])
    assert pool.accept([text]) == ("Budget-friendly",)
    assert len(pool) == 1


def test_other_words_and_letters_do_count():
    assert normal_form("größer") != normal_form("grosser-er")
    assert normal_form("für Männer") == normal_form("FÜR MÄNNER")
    pool = IntentPool(["a gift"])
    pool.accept(["gift"])
    assert len(pool) == 2


def test_what_is_no_intent_is_left_out():
    for text in ("", "  ", "...", "!?", "x" * 101):
        assert clean_intent(text) == ""
    assert IntentPool(["...", "a"]).accept(["??", "b"]) == ("b",)


def test_sessions_are_counted_once_per_intent():
    pool = IntentPool(["a", "b"])
    assert pool.accept(["B", "b.", "c"]) == ("b", "c")
    pool.accept(["c"])
    assert pool.counts() == {"a": 0, "b": 1, "c": 2}


def test_the_most_used_are_shown_in_the_order_of_entry():
    pool = IntentPool("abcd")
    for intents in ("cd", "d", "d"):
        pool.accept(intents)
    assert pool.shown(10) == list("abcd")
    assert pool.shown(3) == list("acd")  # of equal ones the older
    assert pool.shown(1) == ["d"]
