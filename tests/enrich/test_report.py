"""The report knows chance, and says plainly when nothing is above it."""

import pytest

from recbole_intent.enrich.report import Coverage, StepCounts, summary


def coverage(first: int, second: int, third: int, failed: int) -> Coverage:
    found = Coverage(negatives=5, attempts=3, is_validated=True)
    for count, ends in ((first, 1), (second, 2), (third, 3)):
        for _ in range(count):
            found.add(["wrong item"] * (ends - 1) + ["right item"], True, (10, 2))
    for _ in range(failed):
        found.add(["wrong item"] * 3, False, (10, 2))
    return found


def test_chance_is_that_of_blind_picks():
    *attempts, overall = coverage(1, 1, 1, 1).rates()
    assert [rate.distinct for rate in attempts] == pytest.approx([1 / 6, 1 / 5, 1 / 4])
    assert overall.repeating == pytest.approx(1 - (5 / 6) ** 3)
    assert overall.distinct == pytest.approx(0.5)


def test_each_attempt_is_counted_among_those_that_came_to_it():
    *attempts, overall = coverage(4, 3, 2, 1).rates()
    assert [(rate.asked, rate.passed) for rate in attempts] == [(10, 4), (6, 3), (3, 2)]
    assert (overall.asked, overall.passed, overall.rate) == (10, 9, 0.9)


def test_the_verdict_follows_the_test():
    assert coverage(80, 10, 5, 5).verdict().startswith("Clearly above chance: 95.0%")
    blind = coverage(17, 17, 16, 50)
    assert blind.verdict().startswith("NOT clearly above chance: 50.0%")
    assert not blind.rates()[-1].is_above_chance
    few = coverage(2, 0, 0, 0)  # all of two: it may be luck
    assert few.verdict().startswith("NOT clearly above chance: 100.0%")
    assert "first attempt alone is above" in coverage(45, 0, 0, 55).verdict()


def test_more_attempts_than_candidates_always_find_it():
    assert Coverage(1, 3, True).rates()[-1].distinct == 1.0


def test_nothing_asked_is_no_rate():
    empty = Coverage(5, 3, True)
    assert empty.share == 0
    assert [rate.p_value for rate in empty.rates()] == [1, 1, 1, 1]


def test_the_summary_tells_reasons_and_tokens():
    steps = {"item features": StepCounts()}
    steps["item features"].add(True, "", (5, 1))
    steps["item features"].add(False, "HTTP 500", (0, 0))
    text = summary("d", "m (openai)", 20, coverage(4, 3, 2, 1), {"gift": 3, "unused": 0}, steps)
    assert "9 of 10 sessions (90.0%) have intents; training has 20 sessions." in text
    assert "Pool: 2 intents, 1 of them with sessions." in text
    assert "Item features: 1 answered, 1 failed (HTTP 500: 1)." in text
    assert "Tokens: 105 in prompts, 21 in answers." in text
