"""Predict and correct, against a server: what each kind of answer leads to, and what is told."""

import json

import pytest

from recbole_intent.enrich.conversation import Manner
from recbole_intent.enrich.intents.pool import IntentPool
from recbole_intent.enrich.intents.predict_correct import LoopOptions, Task, find_intents

OPTIONS = {
    "manner": Manner(0.0, 100, 1),
    "domain": "shop",
    "attempts": 3,
    "most": 2,
    "pool_shown": 10,
    "window": 8,
    "name_candidates": False,
    "new_intents": True,
    "reason": False,
    "min_margin": 0.0,
}
CANDIDATES = {"i1": "red", "i2": "blue", "i3": "green"}


def task(session: str = "s", target: str = "i2") -> Task:
    return Task(session, (f"the history of {session}",), target, CANDIDATES, ("r", "b", "g"))


@pytest.fixture
def solve(serve, reply, ask_of):
    """Solve tasks; the answers of a session come in the order of the texts given for it."""

    def run(texts, tasks=None, pool=(), judge=None, **options):
        def script(body, _):
            attempt = (len(body["messages"]) - 2) // 2
            asked = body["messages"][1]["content"]
            session = asked.split("the history of ")[1].split("\n")[0]
            return reply(texts[session][attempt])

        server = serve(script)
        tasks, pool = tasks or [task()], IntentPool(pool)
        accepts_all = options.pop("accepts_all", False)
        loop = LoopOptions(**{**OPTIONS, **options})
        asker = ask_of(server.url)
        found = list(find_intents(tasks, pool, asker, loop, judge, accepts_all=accepts_all))
        return found, server.bodies(), pool

    return run


def says(item: str, *intents: str) -> str:
    return json.dumps({"intents": intents or ["why"], "next_item": item})


def test_the_right_item_is_accepted_at_once(solve):
    found, bodies, pool = solve({"s": [says("i2", "Gift!", "new one")]}, pool=["gift"])
    ((line, outcome),) = found
    assert line.intents == ("gift", "new one")
    assert (line.attempts, line.passed, line.hard_negatives) == (1, True, ())
    assert outcome.tokens == (7, 3)
    assert len(bodies) == 1
    assert pool.counts() == {"gift": 1, "new one": 1}


def test_a_wrong_item_is_told_and_kept_as_a_hard_negative(solve):
    ((line, _),), bodies, pool = solve({"s": [says("i3", "bad"), says("i1"), says("i2", "good")]})
    assert line.hard_negatives == ("i3", "i1")
    assert (line.intents, line.attempts, line.passed) == (("good",), 3, True)
    told = bodies[1]["messages"]
    assert told[:2] == bodies[0]["messages"]  # eq. 7: appended to what was asked before
    assert told[2] == {"role": "assistant", "content": says("i3", "bad")}
    assert told[3]["role"] == "user"
    assert "i3 is incorrect" in told[3]["content"]
    assert '"bad"' in told[3]["content"]
    assert "i2" not in told[3]["content"]  # the right one is never told
    assert bodies[2]["messages"][:4] == told
    assert "bad" not in pool.counts()


def test_after_all_attempts_it_is_a_failure(solve):
    ((line, outcome),), bodies, pool = solve({"s": [says("i3"), says("i3"), says("i1")]})
    assert (line.intents, line.attempts, line.passed) == ((), 3, False)
    assert line.hard_negatives == ("i3", "i1")
    assert outcome.ends == ["wrong item"] * 3
    assert len(bodies) == 3
    assert len(pool) == 0


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (says("i9"), "item that is no candidate"),
        ("no JSON", "malformed answer"),
        ("", "malformed answer"),
        (json.dumps({"intents": ["...", "x" * 200], "next_item": "i2"}), "malformed answer"),
    ],
)
def test_other_answers_count_as_wrong_but_are_no_hard_negatives(solve, text, end):
    ((line, outcome),), bodies, _ = solve({"s": [text, says("i2")]})
    assert outcome.ends == [end, "right item"]
    assert (line.passed, line.attempts, line.hard_negatives) == (True, 2, ())
    assert all(message["content"] for message in bodies[1]["messages"])


def test_no_more_intents_than_asked_for(solve):
    ((line, _),), _, _ = solve({"s": [says("i2", "a", "A", "b", "c", "d")]})
    assert line.intents == ("a",)  # the first two, which are one
    ((line, _),), _, _ = solve({"s2": [says("i2", "a", "b", "c")]}, [task("s2")])
    assert line.intents == ("a", "b")


def test_windows_share_a_pool_and_merge_in_order(solve):
    tasks = [task(name) for name in ("s1", "s2", "s3")]
    texts = {"s1": [says("i3"), says("i2", "Slow")], "s2": [says("i2", "fast", "slow")]}
    texts["s3"] = [says("i2", "SLOW")]
    found, bodies, pool = solve(texts, tasks, window=2)
    assert [line.session for line, _ in found] == ["s1", "s2", "s3"]
    # s1 came to it last, but stands first; s2 takes its words.
    assert [line.intents for line, _ in found] == [("Slow",), ("fast", "Slow"), ("Slow",)]
    assert pool.counts() == {"Slow": 3, "fast": 1}
    pools = {b["messages"][1]["content"].split("intents:\n")[1].split("\n\n")[0] for b in bodies}
    assert pools == {"(empty so far)", "- Slow\n- fast"}


class ByFirstIntent:
    """A judge that takes the first intent for `item margin`."""

    def predict(self, tasks, intents):
        words = [found[0].split() for found in intents]
        return [(item, float(margin)) for item, margin in words]


def test_a_judge_predicts_in_place_of_the_answer(solve):
    texts = [json.dumps({"intents": [text]}) for text in ("i3 5", "i2 0.1", "i2 2")]
    ((line, outcome),), bodies, _ = solve({"s": texts}, judge=ByFirstIntent(), min_margin=1.0)
    assert outcome.ends == ["wrong item", "right item by too small a margin", "right item"]
    assert (line.intents, line.hard_negatives) == (("i2 2",), ("i3",))
    assert not any("Candidates" in b["messages"][1]["content"] for b in bodies)
    assert "more specific" in bodies[2]["messages"][-1]["content"]


def test_everything_may_be_accepted_unseen(solve):
    ((line, _),), bodies, _ = solve({"s": [says("i3", "any")]}, accepts_all=True)
    assert (line.intents, line.passed, line.attempts) == (("any",), True, 1)
    assert len(bodies) == 1
