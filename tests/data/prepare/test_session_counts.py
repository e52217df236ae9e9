import numpy as np
import pytest

from recbole_intent.data.prepare.dataset_properties import paper_counts
from recbole_intent.data.prepare.session_counts import PartCounts, count_parts, parts_table
from recbole_intent.data.prepare.sessions import SessionOptions, make_sessions

MINE = [
    PartCounts("train", 8, 30, 100, 8),
    PartCounts("valid", 1, 3, 5, 2),
    PartCounts("test", 1, 4, 4, 4),
]


def test_counts_are_those_of_the_rows():
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(40), 10)
    time = rng.integers(10**6, size=40)[user] + np.tile(np.arange(10), 40)
    item = rng.integers(30, size=400)
    found = make_sessions(user, item, time, SessionOptions(4, 2))
    counts = count_parts(found, item[found.event])
    assert sum(part.interactions for part in counts) == len(found.event)
    assert sum(part.sessions for part in counts) == len(found.part)
    for index, part in enumerate(counts):
        rows = found.part[found.session] == index
        assert part.items == len(set(item[found.event][rows].tolist()))
        assert part.sessions <= part.cut
    assert counts[0].sessions == counts[0].cut
    assert counts[0].items == len(set(item[found.event].tolist()))


def test_table_of_parts_beside_a_paper():
    paper = {"paper": "P", "parts": {"train": [16, 9, 64], "valid": [1, 2, 4], "test": [2, 2, 8]}}
    lines = [line.split() for line in parts_table("mine", MINE, [paper, {"paper": "other"}])]
    assert lines[0] == "part sessions share kept items interactions mean length".split()
    assert lines[1] == "train mine 8 80.0% 100.0% 30 100 12.50".split()
    assert lines[2] == "P 16 84.2% 100.0% 9 64 4.00".split()
    assert lines[3] == "valid mine 1 10.0% 50.0% 3 5 5.00".split()
    assert lines[4] == "P 1 5.3% 50.0% 2 4 4.00".split()
    assert lines[5] == "test mine 1 10.0% 25.0% 4 4 4.00".split()
    assert "an eighth of its training sessions" in " ".join(lines[-1])
    alone = parts_table("mine", MINE, [])
    assert len(alone) == 5
    assert "eighth" not in alone[-1]


@pytest.mark.parametrize(
    "dataset", ["amazon-beauty-sessions", "yelp-sessions", "amazon-books-sessions"]
)
def test_the_papers_own_table_adds_up(dataset):
    """Table 1 of VELI4SBR: parts sum to the total; its training sessions are 4/5 of something."""
    (paper,) = paper_counts(dataset)
    of_parts = np.array([paper["parts"][name] for name in ("train", "valid", "test")])
    assert of_parts[:, 0].sum() == paper["users"]
    assert of_parts[:, 2].sum() == paper["interactions"]
    assert of_parts[0, 1] == paper["items"]  # so that unseen items were removed
    assert of_parts[0, 0] * 5 % 4 == 0
    assert (of_parts[1:, 0] < of_parts[0, 0] / 8).all()  # and removed after the split
