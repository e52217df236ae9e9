"""The scheduler: stops what it should, never the last epoch; a restart changes no decision."""

from pathlib import Path

import numpy as np
import pytest

from recbole_intent.config.command_keys import TUNE, refuse
from recbole_intent.tune.adapters import LedgerScheduler, stopping_rule
from recbole_intent.tune.ledger import Ledger
from recbole_intent.utils.errors import UserError


def _judge(name: str = "asha", *, bigger: bool = True, **options) -> LedgerScheduler:
    numbers = {"epochs": 9, "grace": 1, "reduction": 3, **options}
    rule = stopping_rule(name, "ndcg@10", bigger, **numbers)
    return LedgerScheduler(Ledger(Path("not-there.jsonl")), rule, "ndcg@10", 9)


def _run(judge: LedgerScheduler, values: list[list[float]]) -> list[int]:
    """Trials one after the other; how many epochs each got."""
    got = []
    for trial, curve in enumerate(values):
        for epoch, value in enumerate(curve, 1):
            if judge.stops(trial, epoch, {"ndcg@10": value}):
                break
        got.append(epoch)
    return got


def _curve(peak: float) -> list[float]:
    return [peak * epoch / 9 for epoch in range(1, 10)]


def test_asha_stops_poor_trials_at_its_rungs():
    peaks = (0.5, 0.4, 0.9, 0.1, 0.8, 0.75)
    assert _run(_judge(), [_curve(peak) for peak in peaks]) == [9, 1, 9, 1, 9, 3]
    assert _run(_judge(grace=3), [_curve(0.5), _curve(0.1)]) == [9, 3]
    assert _run(_judge(bigger=False), [_curve(0.5), _curve(0.1), _curve(0.9)]) == [9, 9, 1]


def test_median_stops_what_is_below_the_others():
    peaks = (0.5, 0.6, 0.7, 0.1, 0.65)
    got = _run(_judge("median", grace=2), [_curve(peak) for peak in peaks])
    assert got[:3] == [9, 9, 9]  # three are needed to compare with
    assert got[3] == 2
    assert got[4] == 9


def test_none_stops_nothing():
    assert _run(_judge("none"), [_curve(peak) for peak in (0.9, 0.1, 0.01)]) == [9, 9, 9]


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_restart_judges_as_if_it_had_not_been(name):
    rng = np.random.default_rng(3)
    events = [
        {"event": "epoch", "trial": trial, "epoch": epoch, "valid": {"ndcg@10": rng.random()}}
        for epoch in range(1, 10)
        for trial in range(8)
    ]
    whole, going = _judge(name), set(range(8))
    for n, event in enumerate(events):
        if event["trial"] not in going:
            continue
        told = [e for e in events[:n] if e.get("told")]
        again = _judge(name)
        again.replay([{"event": "begin", "trial": 0}, *told])
        given = (event["trial"], event["epoch"], event["valid"])
        stop = whole.stops(*given)
        assert stop == again.stops(*given)
        event["told"] = True
        if stop:
            going.discard(event["trial"])
    assert 0 < len(going) < 8


@pytest.mark.parametrize(
    ("options", "message"),
    [({"grace": 0}, "--grace=0"), ({"reduction": 1}, "--reduction=1: not a number above 1")],
    ids=["grace", "reduction"],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        refuse(TUNE, {"scheduler": "asha", **options})


def test_an_unknown_rule_is_refused():
    with pytest.raises(UserError, match="--scheduler=hyperband: not one of asha, median, none"):
        refuse(TUNE, {"scheduler": "hyperband"})
