"""Sessions: a plain loop gives the same, no event is in two of them, nothing unseen is tested."""

from dataclasses import replace

import numpy as np
import pytest

from recbole_intent.data.prepare.sessions import (
    PARTS,
    SessionOptions,
    Sessions,
    cut_into_pieces,
    make_sessions,
    part_by_time,
)
from recbole_intent.utils.errors import UserError

Event = tuple[int, int, int, int]  # row, user, item, time


def plain(events: list[Event], options: SessionOptions) -> list[tuple[int, int, str, list[int]]]:
    """(user, number, part, rows) of each session, by the words of the paper alone."""
    pieces: list[tuple[int, int, list[Event]]] = []
    for event in events:
        user, number, piece = pieces[-1] if pieces else (None, 0, [])
        if user != event[1]:
            pieces.append((event[1], 1, [event]))
            continue
        idle = options.session_gap is not None and event[3] - piece[-1][3] > options.session_gap
        if idle or len(piece) == options.max_session_length:
            pieces.append((user, number + 1, [event]))
        else:
            piece.append(event)
    pieces = [piece for piece in pieces if len(piece[2]) >= options.min_session_length]
    pieces.sort(key=lambda piece: piece[2][-1][3])  # stable: ties stay in the order of users
    cut_offs = np.quantile([piece[2][-1][3] for piece in pieces], [0.8, 0.9])
    parts = [PARTS[sum(piece[2][-1][3] > cut_off for cut_off in cut_offs)] for piece in pieces]
    trained = {
        event[2]
        for part, piece in zip(parts, pieces, strict=True)
        if part == "train"
        for event in piece[2]
    }
    found = []
    for part, (user, number, piece) in zip(parts, pieces, strict=True):
        rows = [row for row, _, item, _ in piece if item in trained]
        if len(rows) >= options.min_session_length:
            found.append((user, number, part, rows))
    return found


def vectorised(found: Sessions) -> list[tuple[int, int, str, list[int]]]:
    rows = np.split(found.event, np.flatnonzero(np.diff(found.session)) + 1)
    return [
        (int(user), int(number), PARTS[part], row.tolist())
        for user, number, part, row in zip(found.user, found.number, found.part, rows, strict=True)
    ]


def random_events(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users beside each other, each in the order of time; rare items and, if wanted, many ties."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, 40, size=60)
    user = np.repeat(rng.permutation(60), length)
    item = rng.zipf(1.5, size=len(user)) % 80
    unit = 1 if ties else 10_000
    time = np.concatenate(
        [rng.integers(100 * unit) + np.cumsum(rng.integers(4 * unit, size=n)) for n in length]
    )
    return user, item, time


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        SessionOptions(20, 3),
        SessionOptions(4, 2),
        SessionOptions(3, 3),
        SessionOptions(1000, 2),
        SessionOptions(5, 2, session_gap=2),
    ],
    ids=str,
)
def test_a_plain_loop_gives_the_same(options, ties):
    if options.session_gap and not ties:
        options = replace(options, session_gap=25_000.5)
    for seed in range(5):
        user, item, time = random_events(seed, ties)
        events = list(zip(range(len(user)), *(a.tolist() for a in (user, item, time)), strict=True))
        found = make_sessions(user, item, time, options)
        assert vectorised(found) == plain(events, options)


@pytest.mark.parametrize("seed", range(4))
def test_what_must_hold_of_any_sessions(seed):
    user, item, time = random_events(seed, ties=True)
    options = SessionOptions(6, 3)
    found = make_sessions(user, item, time, options)
    assert len(np.unique(found.event)) == len(found.event)  # no event in two sessions
    length = np.bincount(found.session)
    assert length.min() >= 3
    assert length.max() <= 6
    np.testing.assert_array_equal(user[found.event], found.user[found.session])
    same = np.diff(found.session) == 0
    assert (np.diff(found.event)[same] > 0).all()
    assert (np.diff(found.part) >= 0).all()  # in the order of time, training comes first
    of_event = found.part[found.session]
    assert np.isin(item[found.event], item[found.event[of_event == 0]]).all()
    pairs = list(zip(found.user.tolist(), found.number.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)


def test_training_is_four_fifths_before_the_removal_as_in_the_papers_table():
    """8,060 pieces with distinct times: 6,448 in training (Table 1, Beauty), 806 in each other."""
    part = part_by_time(np.random.default_rng(0).permutation(8060).astype(float))
    assert np.bincount(part).tolist() == [6448, 806, 806]
    part = part_by_time(np.random.default_rng(0).permutation(42_870))
    assert np.bincount(part).tolist() == [34_296, 4287, 4287]  # Yelp


def test_sessions_that_end_at_a_cut_off_stay_together_in_the_earlier_part():
    end = np.r_[np.arange(70), np.full(15, 70), np.arange(71, 86)]
    part = part_by_time(end)
    assert np.bincount(part).tolist() == [85, 5, 10]
    assert set(part[end == 70]) == {0}


def test_steps_come_in_the_papers_order():
    """Short pieces go before the quantiles, unseen items after; what gets too short goes last."""
    # Ten sessions of three items, ending at 10, 20 … 100; a piece of two items would be the last.
    user = np.repeat(np.arange(11), [3] * 10 + [2])
    time = np.r_[np.repeat(np.arange(10, 110, 10), 3), 500, 500]
    item = np.tile([0, 1, 2], 10)
    item[24:27] = [0, 77, 2]  # validation, ends at 90: its item 77 is nowhere in training
    item[27:30] = [1, 2, 0]
    item = np.r_[item, 0, 1]
    with pytest.raises(UserError, match=r"left for valid \(1 before items"):
        make_sessions(user, item, time, SessionOptions(20, 3))
    found = make_sessions(user, item, time, SessionOptions(20, 2))
    # with pieces of two the quantiles move: eleven pieces, 9 + 1 + 1
    assert found.cut.tolist() == [9, 1, 1]
    assert found.part.tolist() == [0] * 9 + [1, 2]

    longer = make_sessions(
        np.r_[user[:27], 8, user[27:]],  # a fourth item: three are left, which is enough
        np.r_[item[:27], 1, item[27:]],
        np.r_[time[:27], 90, time[27:]],
        SessionOptions(20, 3),
    )
    assert longer.cut.tolist() == [8, 1, 1]
    assert longer.part.tolist() == [0] * 8 + [1, 2]
    # item 77 is gone from the middle; the session that ends at 500 was never one
    assert longer.event[longer.session == 8].tolist() == [24, 26, 27]
    assert longer.user.tolist() == list(range(10))


def test_pieces_end_at_the_length_and_at_a_gap_alone():
    user = np.array([4, 4, 4, 4, 4, 2, 2])
    time = np.array([0, 5, 10, 16, 16, 16, 21])
    piece, number = cut_into_pieces(user, time, SessionOptions(2, 2))
    assert piece.tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert number.tolist() == [1, 1, 2, 2, 3, 1, 1]
    piece, number = cut_into_pieces(user, time, SessionOptions(3, 2, session_gap=5))
    assert piece.tolist() == [0, 0, 0, 1, 1, 2, 2]  # 6 s end one, 5 s do not
    assert number.tolist() == [1, 1, 1, 2, 2, 1, 1]


def test_a_later_event_moves_no_earlier_piece():
    user, _, time = random_events(3, ties=False)
    options = SessionOptions(5, 2, session_gap=10_000)
    whole = cut_into_pieces(user, time, options)
    for n in (0, 1, 50, len(user) - 1):
        for all_rows, first_rows in zip(
            whole, cut_into_pieces(user[:n], time[:n], options), strict=True
        ):
            np.testing.assert_array_equal(all_rows[:n], first_rows)


def test_no_session_is_said():
    with pytest.raises(UserError, match="no history has 3 items"):
        make_sessions(np.arange(4), np.zeros(4, int), np.arange(4), SessionOptions(9, 3))
    none = np.zeros(0, int)
    with pytest.raises(UserError, match="no history has 3 items"):
        make_sessions(none, none, none, SessionOptions(9, 3))


def test_options_from_text():
    text = "max_session_length=20, min_session_length=3"
    assert SessionOptions.parse(text) == SessionOptions(20, 3)
    assert SessionOptions.parse(text + ",session_gap=1800") == SessionOptions(20, 3, 1800)
    assert SessionOptions.parse(text + ",session_gap=0.5").session_gap == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not NAME=NUMBER; such as --sessions=max_session_length=20"),
        ("20,3", "'20' is not NAME=NUMBER"),
        ("max_session_length=x", "'max_session_length=x' is not NAME=NUMBER"),
        ("max_session_length=20", "min_session_length is missing"),
        ("max_session_length=9,max_session_length=8", "max_session_length is given twice"),
        ("max_session_length=9,min_length=3", "unknown part 'min_length'; known are max_session"),
        (
            "max_session_length=9,min_session_length=1",
            "min_session_length=1: not a whole number from 2",
        ),
        (
            "max_session_length=2,min_session_length=3",
            "max_session_length=2: is below min_session_length, 3",
        ),
        (
            "max_session_length=9,min_session_length=2.5",
            "min_session_length=2.5: not a whole number",
        ),
        (
            "max_session_length=9,min_session_length=3,session_gap=0",
            "session_gap=0: not a number above 0",
        ),
        (
            "max_session_length=9,min_session_length=3,session_gap=nan",
            "session_gap=nan: not a number above 0",
        ),
        ("max_session_length=9,min_session_length=3,session_gap=inf", "session_gap=inf: not a num"),
        (
            "max_session_length=inf,min_session_length=3",
            "max_session_length=inf: not a whole number",
        ),
    ],
)
def test_mistakes_in_options(text, message):
    with pytest.raises(UserError) as caught:
        SessionOptions.parse(text)
    assert message in str(caught.value)
