"""Samples are seeded, nested, and a session's or user's own."""

import numpy as np

from recbole_intent.enrich.samples import choose, draw_candidates, sample_places
from recbole_intent.enrich.training_data import read_training_data


def test_candidates_hold_the_target_and_no_other_item_of_the_session():
    items, places = np.array([4, 9, 2, 4, 7]), []
    for number in range(200):
        drawn = draw_candidates(f"s{number}", items, 30, 5, seed=1)
        assert len(set(drawn.tolist())) == 6
        assert set(drawn.tolist()) & set(items.tolist()) == {7}
        places.append(drawn.tolist().index(7))
    assert min(np.bincount(places, minlength=6)) > 15  # its place tells nothing
    again = draw_candidates("s0", items, 30, 5, seed=1)
    assert np.array_equal(again, draw_candidates("s0", items, 30, 5, seed=1))
    assert not np.array_equal(again, draw_candidates("s0", items, 30, 5, seed=2))


def test_samples_are_nested(shop):
    sessions = read_training_data("VELI4SBR", "shop", shop).histories.at_least(2)
    chosen = [set(choose(sessions, share, None, 1).tolist()) for share in (0.01, 0.25, 0.7, 1.0)]
    assert [len(c) for c in chosen] == [1, 6, 17, 24]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]
    assert list(choose(sessions, 1.0, 3, 1)) == [0, 1, 2]
    assert chosen[1] != set(choose(sessions, 0.25, None, 2).tolist())


def test_a_sample_is_of_the_user_and_the_seed_alone():
    places = sample_places("u", 50, 20, 2020)
    np.testing.assert_array_equal(places, sample_places("u", 50, 20, 2020))
    assert len(set(places.tolist())) == 20
    assert (np.diff(places) > 0).all()
    assert places.max() < 50
    assert places.tolist() != sample_places("v", 50, 20, 2020).tolist()
    assert places.tolist() != sample_places("u", 50, 20, 2021).tolist()
    assert sample_places("u", 3, 20, 1).tolist() == [0, 1, 2]
