"""Requests share passes of the model, in order and each with its own answers."""

import asyncio
import threading

import pytest

from recbole_intent.serve.batching import MAX_BATCH, MAX_WAITING, Batcher, BusyError


def gathered(answers, asks, hold=None):
    """Ask all at once while the first pass is held; returns the batcher and what came back."""

    async def work():
        batcher = Batcher(answers)
        task = asyncio.create_task(batcher.work())
        calls = [asyncio.create_task(batcher.ask(kind, rows)) for kind, rows in asks]
        await asyncio.sleep(0.05)  # all wait behind the first
        if hold is not None:
            hold.set()
        back = await asyncio.gather(*calls, return_exceptions=True)
        task.cancel()
        batcher.close()
        return batcher, back

    return asyncio.run(work())


def test_requests_behind_a_busy_model_share_a_pass():
    hold, sizes, threads = threading.Event(), [], set()

    def answers(kind, rows):
        hold.wait(10)
        sizes.append((kind, len(rows)))
        threads.add(threading.get_ident())
        return [(kind, row) for row in rows]

    asks = [("a", [0])]
    asks += [("a" if n % 3 else "b", [n, -n]) for n in range(1, 30)]
    _, back = gathered(answers, asks, hold)
    assert back == [[(kind, row) for row in rows] for kind, rows in asks]
    assert sum(n for _, n in sizes) == 59
    assert len(sizes) <= 3
    assert len(threads) == 1


def test_passes_are_bounded():
    hold, sizes = threading.Event(), []

    def answers(_, rows):
        hold.wait(10)
        sizes.append(len(rows))
        return rows

    rows = list(range(MAX_BATCH // 2 + 1))
    _, back = gathered(answers, [("a", rows)] * 4, hold)
    assert back == [rows] * 4
    assert sizes == [len(rows)] * 4


def test_one_bad_request_fails_alone():
    hold = threading.Event()

    def answers(_, rows):
        hold.wait(10)
        if "bad" in rows:
            raise ValueError("bad")
        return rows

    asks = [("a", [row]) for row in ("first", "good", "bad", "fine")]
    _, back = gathered(answers, asks, hold)
    assert back[0] == ["first"]
    assert (back[1], back[3]) == (["good"], ["fine"])
    assert isinstance(back[2], ValueError)


def test_too_many_rows_are_refused():
    hold = threading.Event()

    def answers(_, rows):
        hold.wait(10)
        return rows

    rows = list(range(MAX_WAITING // 2 + 1))
    _, back = gathered(answers, [("a", rows)] * 3, hold)
    assert back[0] == rows
    with pytest.raises(BusyError, match="try again later"):
        raise back[1]
