"""Runs sort by the times as they stand in the file, whatever float32 makes of them."""

import numpy as np
import pandas as pd
import pytest

from recbole_intent.data.loading.split import load_data

STEP = {"seconds": 1, "milliseconds": 1000, "microseconds": 10**6, "nanoseconds": 10**9}
START = 1_700_000_000


def _tests(config, model, **options) -> dict[str, str]:
    data = load_data(config(model, **options))
    split, rows = data.dataset, data.test.dataset.inter_feat
    ids = (
        np.asarray(split.field2id_token[field])[rows[field].numpy()].astype(str)
        for field in (split.uid_field, split.iid_field)
    )
    return dict(zip(*ids, strict=True))


@pytest.mark.parametrize("unit", STEP)
@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("SASRec", {}),
        ("SASRec", {"fast_sequences": False}),
        ("BPR", {}),
        ("BPR", {"normalize_all": True}),
        ("SASRec", {"normalize_all": True}),
        ("SASRec", {"rm_dup_inter": "last"}),
        ("SASRec", {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}}),
    ],
)
def test_newest_first_and_close_together(tmp_path, config, unit, model, options):
    """Times lie 1 unit apart in nanoseconds, and 10 s apart in seconds."""
    step = 10 if unit == "seconds" else 1
    rows = [
        f"u{user}\ti{(user + 3 * place) % 8}\t{START * STEP[unit] + step * place}\n"
        for user in range(6)
        for place in range(6)
    ]
    (tmp_path / "x").mkdir()
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    (tmp_path / "x/x.inter").write_text(header + "".join(rows[::-1]))
    found = _tests(config, model, dataset="x", data_path=str(tmp_path), **options)
    assert found == {f"u{user}": f"i{(user + 15) % 8}" for user in range(6)}


@pytest.mark.parametrize("model", ["SASRec", "BPR"])
def test_ties_stay_in_the_order_of_the_file(tmp_path, config, model):
    (tmp_path / "x").mkdir()
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    rows = "".join(f"u{user}\ti{item}\t5\n" for user in range(5) for item in (3, 1, 4, 2, 0))
    (tmp_path / "x/x.inter").write_text(header + rows)
    found = _tests(config, model, dataset="x", data_path=str(tmp_path))
    assert set(found.values()) == {"i0"}


@pytest.mark.parametrize("options", [{}, {"fast_sequences": False}], ids=["fast", "padded"])
def test_the_last_items_of_ml100k(config, options):
    """RecBole's own path has another last item for 4 of the 943 users."""
    made = config(**options)
    path = f"{made['data_path']}/ml-100k.inter"
    frame = pd.read_csv(path, sep="\t", dtype=str)
    frame["time"] = frame["timestamp:float"].astype(np.int64)
    last = frame.sort_values("time", kind="stable").groupby("user_id:token")["item_id:token"].last()
    assert _tests(config, "SASRec", **options) == last.to_dict()


def test_a_general_model_needs_no_times_in_random_order(tmp_path, config):
    (tmp_path / "x").mkdir()
    rows = "".join(f"u{user}\ti{item}\n" for user in range(6) for item in range(user, user + 5))
    (tmp_path / "x/x.inter").write_text("user_id:token\titem_id:token\n" + rows)
    made = config("BPR", "x", data_path=str(tmp_path), eval_args={"order": "RO"})
    assert len(load_data(made).test.dataset.inter_feat) == 6
