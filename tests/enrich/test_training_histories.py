"""Training histories are RecBole's training split, and samples of them are a user's own."""

import numpy as np
import pytest
from recbole.data.dataset import Dataset

from recbole_intent.enrich.training_histories import read_training_histories, sample_places
from recbole_intent.errors import UserError

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


def histories_of(folder, name):
    found = read_training_histories(folder, name)
    return {
        str(user): found.item_ids[found.of(index)].tolist() for index, user in enumerate(found.ids)
    }


def test_as_the_training_split_of_recbole(tiny_path, tiny):
    dataset = Dataset(tiny("BPR"))
    train = dataset.build()[0]
    expected = {}
    names = dataset.field2id_token
    for user, item in zip(
        train.inter_feat["user_id"].tolist(), train.inter_feat["item_id"].tolist(), strict=True
    ):
        expected.setdefault(names["user_id"][user], []).append(names["item_id"][item])
    found = histories_of(tiny_path / "tiny", "tiny")
    assert {user: sorted(items) for user, items in found.items()} == {
        user: sorted(items) for user, items in expected.items()
    }
    assert found == expected  # in the order of time, too


def test_times_that_recbole_cannot_tell_apart_stay_as_in_the_file(tmp_path):
    # As float32, these are all equal; the file's order decides what the last two are.
    rows = [("a", 1_300_000_003), ("b", 1_300_000_002), ("c", 1_300_000_001), ("d", 1_300_000_000)]
    (tmp_path / "d.inter").write_text(HEADER + "".join(f"u\t{i}\t{t}\n" for i, t in rows))
    assert histories_of(tmp_path, "d") == {"u": ["a", "b"]}


def test_short_histories_keep_their_first_item(tmp_path):
    rows = ["one\ta\t1", "two\tb\t2", "two\tc\t1", "three\tx\t3", "three\ty\t1", "three\tz\t2"]
    (tmp_path / "d.inter").write_text(HEADER + "\n".join(rows) + "\n")
    assert histories_of(tmp_path, "d") == {"one": ["a"], "two": ["c"], "three": ["y"]}
    assert set(read_training_histories(tmp_path, "d").item_ids) == set("abcxyz")


def test_sessions_and_empty_files_are_refused(tmp_path):
    (tmp_path / "d.inter").write_text(HEADER)
    with pytest.raises(UserError, match=r"d\.inter: no interactions"):
        read_training_histories(tmp_path, "d")
    (tmp_path / "d.split").write_text("")
    with pytest.raises(UserError, match=r"d\.split: shares out sessions"):
        read_training_histories(tmp_path, "d")


def test_a_sample_is_of_the_user_and_the_seed_alone():
    places = sample_places("u", 50, 20, 2020)
    np.testing.assert_array_equal(places, sample_places("u", 50, 20, 2020))
    assert len(set(places.tolist())) == 20
    assert (np.diff(places) > 0).all()
    assert places.max() < 50
    assert places.tolist() != sample_places("v", 50, 20, 2020).tolist()
    assert places.tolist() != sample_places("u", 50, 20, 2021).tolist()
    assert sample_places("u", 3, 20, 1).tolist() == [0, 1, 2]
