"""What a search shows: every trial in it, pictures that stay small, a table of what matters."""

import csv

import numpy as np
import pytest
from rich.console import Console

from recbole_intent.tune.ledger import FAILED, FINISHED, RUNNING, STOPPED, Ledger, Trial
from recbole_intent.tune.page import write_page
from recbole_intent.tune.report import Watch, write_csv
from recbole_intent.tune.space import read_space

METRIC = "ndcg@10"


@pytest.fixture
def space():
    return read_space("SASRec")[0]


@pytest.fixture
def trials(space) -> list[Trial]:
    """Forty trials; every third stopped after an epoch, one failed before its first."""
    rng = np.random.default_rng(4)
    trials = []
    for index in range(40):
        params = {key: domain.draw(rng) for key, domain in space.items()}
        n = 1 if index % 3 == 1 else 8
        epochs = [
            {"epoch": e, "valid": {METRIC: rng.random() * e}, "seconds": 9.0 * e, "at": index + e}
            for e in range(1, n + 1)
        ]
        trials.append(Trial(index, params, STOPPED if n == 1 else FINISHED, epochs))
    trials[7] = Trial(7, trials[7].params, FAILED, [], 'ValueError: no, "never", it\'s over')
    return trials


@pytest.mark.parametrize("bigger", [True, False])
@pytest.mark.parametrize("n", [1, 40])
def test_pictures_are_small(space, trials, tmp_path, bigger, n):
    write_page(tmp_path, space, trials[:n], METRIC, bigger, "SASRec on <tiny>")
    for name in ("parallel.png", "time.png"):
        picture = (tmp_path / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 200_000
    page = (tmp_path / "page.html").read_text("utf-8")
    assert len(page) < 1_000_000
    assert page.count("<svg") == 3
    assert "<tiny>" not in page
    shown = [trial.index for trial in trials[:n] if trial.epochs]
    assert all(f'data-model="trial {index}"' in page for index in shown)
    assert page.count("<tr><td>") == n


def test_the_csv_holds_every_trial_and_value(trials, tmp_path):
    write_csv(tmp_path / "trials.csv", trials, METRIC, bigger=True)
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    for row, trial in zip(rows, trials, strict=True):
        assert int(row["trial"]) == trial.index
        assert row["status"] == trial.status
        assert row["message"] == trial.message
        assert float(row["learning_rate"]) == trial.params["learning_rate"]
        best = trial.best(METRIC, True)
        assert row[METRIC] == ("" if best is None else str(best["valid"][METRIC]))


def test_the_table_fits_a_screen_and_keeps_what_runs_and_the_best(trials, tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for trial in trials:
        ledger.append("begin", trial.index, params=trial.params)
        for record in trial.epochs:
            ledger.append("epoch", trial.index, **record, stop=trial.status == STOPPED)
        if trial.status == FINISHED and trial.index != 39:
            ledger.append("finished", trial.index)
    ledger.append("failed", 7, message="no")
    assert ledger.trials()[39].status == RUNNING
    watch = Watch(ledger, METRIC, True, epochs=8, n_trials=50)
    assert watch.table(whole=True).row_count == 40
    table = watch.table()
    assert table.row_count == 20
    console = Console(width=160)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    assert "39 of 50 trials over" in text
    cells = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    shown = {int(cell) for cell in cells if cell}  # long parameters go on in a second line
    best = max((t for t in trials if t.epochs), key=lambda t: t.best(METRIC, True)["valid"][METRIC])
    assert {39, best.index} <= shown
