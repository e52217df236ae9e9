import numpy as np
import pytest

from recbole_intent.data.prepare.dataset_properties import paper_counts
from recbole_intent.data.prepare.statistics import Statistics


@pytest.fixture
def statistics() -> Statistics:
    return Statistics.of("toy", np.array([0, 0, 0, 5, 5]), np.array([0, 1, 2, 0, 1]))


def test_counts(statistics):
    assert (statistics.users, statistics.items, statistics.interactions) == (2, 3, 5)
    assert statistics.density == pytest.approx(5 / 6)
    assert statistics.mean_length == 2.5
    assert (statistics.lengths[0.0], statistics.lengths[1.0]) == (2, 3)


def test_table_says_equal_or_not(statistics):
    right = {"paper": "A", "users": 2, "items": 4, "interactions": 5, "counts_padding": True}
    wrong = {"paper": "B", "users": 3, "items": 4, "note": "counts sessions"}
    lines = statistics.table([right, wrong]).splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["toy", "A", "B"],
        ["users", "2", "2", "equal", "3", "NOT", "equal", "(-1)"],
        ["items", "3", "4", "equal", "(counts", "padding)", "4", "NOT", "equal", "(-1)"],
        ["interactions", "5", "5", "equal", "-"],
    ]
    assert lines[-1] == "B: counts sessions"


def test_papers_counts_of_the_known_datasets():
    toys = paper_counts("amazon-toys")
    assert {paper["items"] for paper in toys} == {11_924, 11_925}
    assert paper_counts("never-heard-of") == []
