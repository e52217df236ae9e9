"""Counters, rate and time left, by a clock of the test's own."""

import pytest

from recbole_intent.llm import progress as module
from recbole_intent.llm.progress import Progress


@pytest.fixture
def clock(monkeypatch) -> dict[str, float]:
    now = {"seconds": 100.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: now["seconds"])
    return now


def test_nothing_is_told_before_anything_was_asked(clock):
    progress = Progress(cached=1000)
    assert (progress.rate, progress.done) == (0, 1000)


def test_what_was_cached_makes_no_one_hope(clock):
    progress = Progress(cached=1000)
    progress.begin()
    for _ in range(10):
        clock["seconds"] += 2
        progress.asked += 1
        progress.end()
    assert progress.rate == pytest.approx(0.5)


def test_the_rate_is_that_of_late(clock):
    progress = Progress()
    progress.begin()
    for seconds in [100] * 5 + [1] * 600:
        clock["seconds"] += seconds
        progress.end()
    assert progress.rate == pytest.approx(1, rel=0.01)
