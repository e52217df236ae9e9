"""Searcher and scheduler together, driven as Ray drives them, with a kill at every event.

`test_tune.py` does the same to real processes, at a few moments.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from recbole_intent.tune.adapters import LedgerScheduler, LedgerSearcher, stopping_rule
from recbole_intent.tune.ledger import FINISHED, STOPPED, Ledger
from recbole_intent.tune.space import Choice, Range
from recbole_intent.tune.suggest import OptunaSuggester, RandomSuggester

METRIC, EPOCHS = "ndcg@10", 4
SPACE = {"a": Choice((1, 2, 3)), "b": Range("loguniform", 1e-3, 1.0)}


class Killed(Exception):
    """The process is gone."""


class FragileLedger(Ledger):
    """A ledger whose process is killed right after a number of events."""

    def append(self, event, trial, **facts):
        super().append(event, trial, **{k: v for k, v in facts.items() if k != "at"}, **_at(event))
        object.__setattr__(self, "left", getattr(self, "left", 10**9) - 1)
        if self.left == 0:
            raise Killed


def _at(event: str) -> dict:
    return {"at": 0.0} if event == "epoch" else {}  # the only fact that depends on the clock


def _values(params: dict) -> list[float]:
    """The validation metric of each epoch: what a run folder would hold."""
    rng = np.random.default_rng(int(params["b"] * 1e9))
    return list(params["a"] / 3 + rng.random(EPOCHS) / 2)


def _search(ledger: Ledger, kind: str, rule: str, n_trials: int = 8) -> None:
    """One process of a search, two trials at a time, in turns; begins or continues."""
    accept = lambda params: None  # noqa: E731
    if kind == "random":
        suggester = RandomSuggester(SPACE, 7, accept)
    else:
        suggester = OptunaSuggester(SPACE, 7, accept, METRIC, bigger=True)
    for trial in ledger.trials():
        suggester.recall(trial)
    searcher = LedgerSearcher(ledger, suggester, n_trials)
    made = stopping_rule(rule, METRIC, True, epochs=EPOCHS, grace=1, reduction=2)
    scheduler = LedgerScheduler(ledger, made, METRIC, EPOCHS)
    assert scheduler.metric is None  # Ray would demand it of every report
    running: list[tuple] = []
    n_started = 0
    while True:
        while len(running) < 2:
            config = searcher.suggest(f"ray{n_started}")
            if config == searcher.FINISHED:
                break
            trial = SimpleNamespace(config=config, trial_id=f"ray{n_started}")
            n_started += 1
            scheduler.on_trial_add(None, trial)
            params = ledger.trials()[config["index"]].params
            running.append((trial, iter([*enumerate(_values(params), 1), None])))
        if not running:
            return
        trial, reports = running.pop(0)
        report = next(reports)
        result = {"finished": True}
        if report is not None:
            epoch, value = report
            result = {"epoch": epoch, f"valid/{METRIC}": value, "seconds": 1.0}
        if scheduler.on_trial_result(None, trial, result) == scheduler.STOP:
            searcher.on_trial_complete(trial.trial_id)
        else:
            running.append((trial, reports))


@pytest.mark.parametrize("rule", ["asha", "median", "none"])
def test_killed_after_every_event_random_search_ends_with_the_same_trials(rule, tmp_path):
    whole = Ledger(tmp_path / "whole.jsonl")
    _search(whole, "random", rule)
    n_events = sum(1 for _ in whole.events())
    ledger = FragileLedger(tmp_path / "killed.jsonl")
    n_kills, over = 0, {}
    while True:
        object.__setattr__(ledger, "left", 1 + n_kills % 2)
        is_killed = False
        try:
            _search(ledger, "random", rule)
        except Killed:
            is_killed = True
            n_kills += 1
        for trial in ledger.trials():
            assert over.get(trial.index, trial) == trial  # what is over never changes
            if trial.is_over:
                over[trial.index] = trial
        if not is_killed:
            break
    assert n_kills > n_events // 2
    assert len(over) == 8
    assert [t.params for t in ledger.trials()] == [t.params for t in whole.trials()]
    assert {t.status for t in over.values()} <= {FINISHED, STOPPED}
    # Each epoch is reported once; a continued trial begins where it was.
    epochs = [(e["trial"], e["epoch"]) for e in ledger.events() if e["event"] == "epoch"]
    assert epochs == sorted(set(epochs), key=epochs.index)
    if rule == "none":
        assert [t.epochs for t in ledger.trials()] == [
            [{**r, "at": 0.0} for r in t.epochs] for t in whole.trials()
        ]
    else:
        assert any(t.status == STOPPED for t in over.values())


def test_killed_between_trials_optuna_suggests_as_if_it_had_not_been(tmp_path):
    whole = Ledger(tmp_path / "whole.jsonl")
    _search(whole, "optuna", "asha")
    ledger = FragileLedger(tmp_path / "killed.jsonl")
    object.__setattr__(ledger, "left", 9)
    with pytest.raises(Killed):
        _search(ledger, "optuna", "asha")
    begun = ledger.trials()
    _search(Ledger(ledger.path), "optuna", "asha")
    trials = Ledger(ledger.path).trials()
    assert len(trials) == 8
    assert [t.params for t in trials[: len(begun)]] == [t.params for t in begun]
    assert all(t.is_over for t in trials)


def test_a_search_can_be_given_more_trials(tmp_path):
    whole, longer = Ledger(tmp_path / "a.jsonl"), Ledger(tmp_path / "b.jsonl")
    _search(whole, "random", "none")
    _search(longer, "random", "none", 3)
    assert len(longer.trials()) == 3
    _search(longer, "random", "none")
    assert [t.params for t in longer.trials()] == [t.params for t in whole.trials()]
