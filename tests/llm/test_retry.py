"""Waits between tries."""

import email.utils
import time

import pytest

from recbole_intent.llm.retry import Retry, retry_after


def test_waits_double_up_to_the_longest_and_have_chance_in_them():
    retry = Retry(first_wait=1.0, longest_wait=5.0)
    for tries, full in ((1, 1), (2, 2), (3, 4), (4, 5), (5000, 5)):
        waits = {retry.wait(tries) for _ in range(50)}
        assert len(waits) > 10
        assert full / 2 <= min(waits) <= max(waits) <= full


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3), ("0.5", 0.5), ("-3", 0), ("", None), (None, None), ("soon", None), ("nan", None)],
)
def test_seconds_that_a_server_asks_for(value, seconds):
    assert retry_after(value) == seconds


def test_dates_that_a_server_asks_for():
    def after(seconds: float) -> str:
        return email.utils.formatdate(time.time() + seconds, usegmt=True)

    assert 900 < retry_after(after(1000)) <= 1000
    assert retry_after(after(-1000)) == 0
    assert retry_after("Wed, 99 Oct 2015 07:28:00 GMT") is None
