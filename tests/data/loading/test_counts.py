"""What was read and what was left out, with the reason, of every way to leave something out."""

import pytest

from recbole_intent.data.loading.split import load_data

HEADER = "user_id:token\titem_id:token\ttimestamp:float\trating:float\n"
ROWS = [(f"u{u}", f"i{(u + k) % 7}", k, k % 5) for u in range(6) for k in range(6)]
EXTRA = [("u0", "i0", 50, 1), ("u0", "i0", 50, 1), ("lone", "i1", 3, 4)]


@pytest.fixture
def counts(tmp_path, config):
    (tmp_path / "x").mkdir()
    text = "".join("\t".join(map(str, row)) + "\n" for row in ROWS + EXTRA)
    (tmp_path / "x/x.inter").write_text(HEADER + text)

    def count(model="SASRec", **options):
        options = {"data_path": str(tmp_path), **options}
        return load_data(config(model, "x", **options)).counts

    return count


RATED = {"load_col": {"inter": ["user_id", "item_id", "timestamp", "rating"]}}


@pytest.mark.parametrize(
    ("options", "users", "interactions", "dropped"),
    [
        ({}, 7, 39, {"the only interaction of its user, which makes no sequence": 1}),
        ({"model": "BPR"}, 7, 39, {}),
        ({"rm_dup_inter": False, "model": "BPR"}, 7, 39, {}),
        ({"rm_dup_inter": "first", "model": "BPR"}, 7, 37, {"rm_dup_inter: first": 2}),
        (
            {"user_inter_num_interval": "[3,inf)"},
            6,
            38,
            {"user_inter_num_interval: [3,inf)": 1},
        ),
        (
            {"val_interval": {"rating": "[1,inf)"}, "model": "BPR", **RATED},
            7,
            27,
            {"val_interval: {'rating': '[1,inf)'}": 12},
        ),
        (
            {"val_interval": {"user_id": ["u1", "u2"]}},
            2,
            12,
            {"val_interval: {'user_id': ['u1', 'u2']}": 27},
        ),
    ],
)
def test_counts(counts, options, users, interactions, dropped):
    found = counts(**options)
    assert (found.users, found.interactions, found.dropped) == (users, interactions, dropped)
    text = str(found)
    assert all(f"dropped {n:,} ({reason})" in text for reason, n in dropped.items())


def test_repeated_rows_and_untested_users(counts):
    found = counts()
    assert (found.repeated, found.untested_users, found.items) == (1, 1, 7)
    assert found.targets == {"train": 20, "valid": 6, "test": 6}
