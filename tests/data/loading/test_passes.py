"""Plans of passes and batches, on random sequences: what holds whatever they are."""

import numpy as np
import pytest

from recbole_intent.data.loading.passes import plan_batches, plan_passes, strided_starts

SEEDS = range(5)


def _samples(seed: int, max_length: int = 10) -> dict[str, np.ndarray]:
    """Every prefix of 40 users with 2 to 60 interactions, as `IndexedSequentialDataset` has it."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 60, size=40)
    begin = np.repeat(np.cumsum(counts) - counts, counts)
    index = np.arange(counts.sum())
    target = index[index > begin]
    user_start = begin[target]
    start = np.maximum(user_start, target - max_length)
    return {"start": start, "target": target, "user_start": user_start}


def _plan(data, passes, seed=0):
    return plan_passes(data["start"], data["target"], passes, np.random.default_rng(seed))


def _members(plan):
    return [plan.samples[a:b] for a, b in zip(plan.first[:-1], plan.first[1:], strict=True)]


@pytest.mark.parametrize("passes", [None, 1, 2, 4, 100])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_sample_is_in_one_pass_that_reads_its_whole_window(seed, passes):
    data = _samples(seed)
    plan = _plan(data, passes)
    assert sorted(plan.samples) == list(range(len(data["start"])))
    assert plan.targets.sum() == len(plan.samples)
    for start, length, samples in zip(plan.start, plan.length, _members(plan), strict=True):
        assert len(samples) >= 1
        # the same window start, so a prefix of the pass is the window of each of its targets
        assert (data["start"][samples] == start).all()
        assert (data["target"][samples] <= start + length).all()
        # and nothing is read that no target needs
        assert data["target"][samples].max() == start + length
        assert (np.diff(data["target"][samples]) > 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_one_pass_a_window_and_one_row_a_target(seed):
    data = _samples(seed)
    shared, rows = _plan(data, 1), _plan(data, None)
    assert len(np.unique(shared.start)) == len(shared.start) == len(np.unique(data["start"]))
    assert (rows.targets == 1).all()
    assert (rows.start == data["start"]).all()
    assert (rows.length == data["target"] - data["start"]).all()


@pytest.mark.parametrize("passes", [2, 4])
def test_groups_split_the_targets_of_a_window_by_chance(passes):
    data = _samples(0)
    plan = _plan(data, passes)
    _, count = np.unique(plan.start, return_counts=True)
    assert count.max() == passes
    sizes = plan.targets[plan.length >= 8]
    assert sizes.min() < sizes.max()
    assert not np.array_equal(_plan(data, passes, 1).samples, plan.samples)
    assert np.array_equal(_plan(data, passes, 0).samples, plan.samples)


@pytest.mark.parametrize("max_length", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("seed", SEEDS)
def test_strided_windows_are_half_to_full_and_early_ones_exact(seed, max_length):
    data = _samples(seed, max_length)
    start = strided_starts(**data, max_length=max_length)
    before, length = data["target"] - data["user_start"], data["target"] - start
    late = before > max_length
    assert late.any()
    assert (start[~late] == data["start"][~late]).all()
    assert (start >= data["user_start"]).all()
    assert (length <= max_length).all()
    assert (length[late] >= max(1, max_length // 2)).all()
    assert ((start - data["user_start"])[late] % max(1, max_length // 2) == 0).all()


def test_strided_windows_are_shared():
    data = _samples(0)
    shared = strided_starts(**data, max_length=10)
    exact = len(plan_passes(data["start"], data["target"], 1, np.random.default_rng(0)).start)
    fewer = len(plan_passes(shared, data["target"], 1, np.random.default_rng(0)).start)
    assert fewer < exact / 3


@pytest.mark.parametrize("by_length", [True, False])
@pytest.mark.parametrize("passes", [None, 1, 4])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 100_000])
def test_batches_hold_every_pass_once_and_about_their_size(passes, batch_size, by_length):
    plan = _plan(_samples(1), passes)
    rng = np.random.default_rng(3)
    batches = plan_batches(plan, batch_size, rng, by_length=by_length)
    assert sorted(np.concatenate(batches)) == list(range(len(plan.start)))
    count = np.array([plan.targets[batch].sum() for batch in batches])
    # a pass is never split, so a batch may miss its size by less than the largest pass
    assert count.max() < batch_size + plan.targets.max()
    assert len(batches) <= -(-len(plan.samples) // batch_size)
    if passes is None:
        assert (np.sort(count)[1:] == batch_size).all()


def test_batches_are_of_like_length_where_asked():
    plan = _plan(_samples(1, max_length=60), None)

    def padding(by_length: bool) -> float:
        batches = plan_batches(plan, 16, np.random.default_rng(0), by_length=by_length)
        width = np.array([plan.length[batch].max() for batch in batches])
        return (width * [len(b) for b in batches]).sum() / plan.length.sum()

    assert padding(True) < 1.15
    assert padding(False) > 1.5


def test_batches_of_a_seed_are_the_same_and_of_another_are_not():
    plan = _plan(_samples(1), 1)
    first, same, other = (plan_batches(plan, 32, np.random.default_rng(s)) for s in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=False))
