import numpy as np
import pandas as pd

from recbole_intent.data.prepare.order import in_order, strictly_increasing, without_time

DAY = 86_400


def frame(rows: list[tuple], names: str) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=names.split())
    for key in ("user_id", "item_id"):
        table[key] = table[key].astype("category")
    return table.astype({"timestamp": float})


def test_the_place_within_the_day_is_added_to_the_days_seconds():
    user = np.array([0, 0, 0, 0, 1, 1])
    time = np.array([DAY, DAY, DAY, 2 * DAY, DAY, DAY], float)
    expected = [DAY, DAY + 1, DAY + 2, 2 * DAY, DAY, DAY + 1]
    assert strictly_increasing(user, time).tolist() == expected


def test_times_increase_strictly_within_each_user_and_move_no_more_than_needed():
    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(0, 20, 500))
    time = rng.integers(0, 60, 500).astype(float)
    result = strictly_increasing(user, time)
    previous: dict[int, int] = {}
    for one, raw, got in zip(user.tolist(), time.tolist(), result.tolist(), strict=True):
        assert got == max(raw, previous.get(one, -1) + 1)
        previous[one] = got


def test_position_goes_before_time():
    rows = [("u", "b", 5, 1), ("u", "a", 9, 0), ("u", "c", 5, 2)]
    table = in_order(frame(rows, "user_id item_id timestamp position"))
    assert table["item_id"].tolist() == ["a", "b", "c"]
    assert table["timestamp"].tolist() == [9, 10, 11]


def test_equal_times_keep_file_order_and_users_that_of_first_appearance():
    rows = [("v", "a", 9), ("u", "d", 5), ("v", "b", 9), ("u", "c", 5), ("v", "e", 8.5)]
    table = in_order(frame(rows, "user_id item_id timestamp"))
    assert table["user_id"].tolist() == list("vvvuu")
    assert table["item_id"].tolist() == list("eabdc")


def test_users_without_times_are_known_by_position_alone():
    rows = [("u", "b", None, 1), ("u", "a", None, 0), ("v", "a", 7, 0)]
    table = in_order(frame(rows, "user_id item_id timestamp position"))
    assert table["item_id"].tolist() == ["a", "b", "a"]
    assert table["timestamp"].tolist() == [0, 1, 7]


def test_places_in_the_place_of_times_are_known_again():
    user = np.array([3, 3, 3, 1, 1, 0, 2, 2])
    time = np.array([np.nan, np.nan, np.nan, 7, 8, 0, 0, 2])
    written = strictly_increasing(user, time)
    assert without_time(user, written).tolist() == [True] * 3 + [False] * 2 + [True] + [False] * 2
    assert without_time(user[:0], written[:0]).tolist() == []
