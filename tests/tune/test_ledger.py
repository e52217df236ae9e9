"""The ledger: what it holds after a kill at any byte is what had happened until then."""

import pytest

from recbole_intent.tune.ledger import (
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    WAITING,
    Ledger,
    best_trial,
)
from recbole_intent.utils.errors import UserError


def _epoch(ledger: Ledger, trial: int, epoch: int, value: float, stop: bool = False) -> None:
    ledger.append(
        *("epoch", trial), epoch=epoch, valid={"ndcg@10": value}, seconds=60.0, at=1.0, stop=stop
    )


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """Five trials: finished, stopped, failed, running, waiting."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for index in range(5):
        ledger.append("begin", index, params={"hidden_size": 8 * (index + 1)})
    for epoch, value in enumerate([0.1, 0.3, 0.3, 0.2], 1):
        _epoch(ledger, 0, epoch, value)
    ledger.append("finished", 0)
    _epoch(ledger, 1, 1, 0.05, stop=True)
    ledger.append("failed", 2, message="no")
    _epoch(ledger, 3, 1, 0.3)
    return ledger


def test_trials_are_what_the_events_say(ledger):
    trials = ledger.trials()
    assert [t.status for t in trials] == [FINISHED, STOPPED, FAILED, RUNNING, WAITING]
    assert [t.last_epoch for t in trials] == [4, 1, 0, 1, 0]
    assert [t.is_over for t in trials] == [True, True, True, False, False]
    assert trials[0].best("ndcg@10", True)["epoch"] == 3  # as the trainer: of equals, the last
    assert trials[0].best("ndcg@10", False)["epoch"] == 1
    assert trials[2].best("ndcg@10", True) is None
    assert trials[0].minutes == 1.0
    assert best_trial(trials, "ndcg@10", True) is trials[0]  # of equals, the first
    assert best_trial(trials, "ndcg@10", False) is trials[1]
    assert best_trial(trials[2:3], "ndcg@10", True) is None
    ledger.append("again", 2)
    assert ledger.trials()[2].status == WAITING


def test_cut_at_any_byte_it_holds_the_whole_events_before(ledger, tmp_path):
    whole = ledger.path.read_bytes()
    events = list(ledger.events())
    cut = Ledger(tmp_path / "cut.jsonl")
    for n_bytes in range(whole.index(b'{"event": "failed"') - 2, len(whole)):  # the last two lines
        cut.path.write_bytes(whole[:n_bytes])
        n_events = whole[:n_bytes].count(b"\n")
        assert list(cut.events()) == events[:n_events]
        cut.drop_unfinished_line()
        cut.append("begin", 9, params={})
        assert list(cut.events()) == [
            *events[:n_events],
            {"event": "begin", "trial": 9, "params": {}},
        ]


def test_a_broken_line_is_named(ledger):
    ledger.path.write_bytes(b"{\n" + ledger.path.read_bytes())
    with pytest.raises(UserError, match=r"ledger\.jsonl:1"):
        ledger.trials()


def test_a_ledger_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        Ledger(tmp_path / "nowhere/ledger.jsonl").append("finished", 0)
