"""Ranks by counting: ties, padding, exclusion, bad scores, and the file of ranks."""

import math

import numpy as np
import pytest
import torch

from recbole_intent.evaluation import ranks as ranks_module
from recbole_intent.evaluation.ranks import Ranks, rank_of_targets
from recbole_intent.utils.errors import UserError


def plain_ranks(scores, targets, excluded=()):
    """The definition, item by item."""
    n_rows, n_items = scores.shape
    result = []
    for row in range(n_rows):
        target = int(targets[row])
        better = tied = 0
        for item in range(1, n_items):
            if item == target or (row, item) in excluded:
                continue
            better += bool(scores[row, item] > scores[row, target])
            tied += bool(scores[row, item] == scores[row, target])
        result.append(1 + better + tied / 2)
    return torch.tensor(result, dtype=torch.float64)


@pytest.mark.parametrize("strip_bytes", [1, 4 * 30 * 4, 2**22])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("has_ties", [False, True])
def test_equals_the_definition_with_and_without_ties(strip_bytes, dtype, has_ties, monkeypatch):
    monkeypatch.setattr(ranks_module, "_CPU_STRIP_BYTES", strip_bytes)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(13, 30, generator=generator)
    scores = (scores.round() if has_ties else scores).to(dtype)
    targets = torch.randint(1, 30, (13,), generator=generator)
    rows = torch.randint(0, 13, (90,), generator=generator)
    items = torch.randint(0, 30, (90,), generator=generator)  # repeats, padding and targets too
    pairs = set(zip(rows.tolist(), items.tolist(), strict=True))
    before = scores.clone()

    assert torch.equal(rank_of_targets(scores, targets), plain_ranks(scores, targets))
    assert torch.equal(
        rank_of_targets(scores, targets, excluded=(rows, items)),
        plain_ranks(scores, targets, pairs),
    )
    assert torch.equal(scores, before)


def test_equal_scores_give_the_middle_rank_and_not_the_best():
    assert rank_of_targets(torch.zeros(1, 12), torch.tensor([5])).tolist() == [6.0]  # of 11 items


def test_padding_is_never_counted():
    scores = torch.tensor([[9.0, 1.0, 2.0, 3.0]])
    assert rank_of_targets(scores, torch.tensor([3])).tolist() == [1.0]
    scores[0, 0] = math.nan  # nor is it looked at
    assert rank_of_targets(scores, torch.tensor([2])).tolist() == [2.0]


def test_excluded_items_do_not_count_but_the_target_does():
    scores = torch.tensor([[0.0, 4.0, 3.0, 2.0, 1.0]])
    rows, items = torch.tensor([0, 0, 0, 0]), torch.tensor([1, 1, 3, 0])
    rank = rank_of_targets(scores, torch.tensor([3]), excluded=(rows, items))
    assert rank.tolist() == [2.0]
    masked = torch.tensor([[0.0, -math.inf, 3.0, 2.0, 1.0]])
    assert torch.equal(rank, rank_of_targets(masked, torch.tensor([3])))


def test_infinite_scores_have_ranks():
    scores = torch.tensor([[0.0, -math.inf, -math.inf, 1.0], [0.0, math.inf, 2.0, 1.0]])
    assert rank_of_targets(scores, torch.tensor([1, 2])).tolist() == [2.5, 2.0]


@pytest.mark.parametrize("item", [1, 2])
def test_nan_scores_are_named(item):
    scores = torch.zeros(3, 4)
    scores[1, item] = math.nan
    with pytest.raises(UserError, match=f"item {item} of row 1 as NaN .1 of 3"):
        rank_of_targets(scores, torch.tensor([1, 1, 1]))


@pytest.mark.parametrize("target", [0, 4, -1])
def test_a_target_that_is_no_item_is_refused(target):
    with pytest.raises(ValueError, match=r"1 \.\. 3"):
        rank_of_targets(torch.zeros(1, 4), torch.tensor([target]))


def test_an_empty_batch_has_no_ranks():
    assert rank_of_targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)).shape == (0,)


@pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available())
def test_on_every_device_and_row_by_row_they_are_the_same(device):
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(40, 90, generator=generator).round(decimals=1)
    targets = torch.randint(1, 90, (40,), generator=generator)
    excluded = (torch.arange(40), torch.randint(0, 90, (40,), generator=generator))
    there = rank_of_targets(
        scores.to(device),
        targets.to(device),
        excluded=tuple(index.to(device) for index in excluded),
    )
    for row in range(40):
        alone = (torch.zeros(1, dtype=torch.long), excluded[1][row : row + 1])
        one = rank_of_targets(scores[row : row + 1], targets[row : row + 1], excluded=alone)
        assert one.item() == there[row].item()


def test_ranks_are_sorted_by_user_then_target_then_rank():
    ranks = Ranks(user=[2, 1, 2, 2], target=[5, 9, 3, 3], rank=[1, 2, 4, 3.5])
    assert ranks.user.tolist() == [1, 2, 2, 2]
    assert ranks.target.tolist() == [9, 3, 3, 5]
    assert ranks.rank.tolist() == [2.0, 3.5, 4.0, 1.0]
    assert len(ranks) == 4


@pytest.mark.parametrize(
    "arrays", [([1], [1, 2], [1, 1]), ([1], [1], [0.5]), ([1], [1], [math.nan])]
)
def test_impossible_ranks_are_refused(arrays):
    with pytest.raises(ValueError, match="rank"):
        Ranks(*arrays)


def test_save_and_load_round_trip_and_leave_no_other_file(tmp_path):
    ranks = Ranks(user=[2, 1, 2], target=[5, 9, 3], rank=[1, 2, 3.5])
    path = tmp_path / "ranks.npz"
    path.write_bytes(b"an older file")
    ranks.save(path)
    loaded = Ranks.load(path)
    for name in ("user", "target", "rank"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(ranks, name))
        assert getattr(loaded, name).dtype == getattr(ranks, name).dtype
    assert [file.name for file in tmp_path.iterdir()] == ["ranks.npz"]


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "ranks.npz"
    Ranks(user=[1], target=[1], rank=[1]).save(path)
    old = path.read_bytes()

    def disk_full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with pytest.raises(UserError, match=r"ranks\.npz: cannot be written: no space"):
        Ranks(user=[2], target=[2], rank=[2]).save(path)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["ranks.npz"]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "ranks.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"ranks\.npz: not a file of ranks"):
        Ranks.load(path)


def test_a_missing_file_or_array_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        Ranks.load(tmp_path / "ranks.npz")
    np.savez(tmp_path / "other.npz", user=[1])
    with pytest.raises(UserError, match=r"other\.npz: not a file of ranks"):
        Ranks.load(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", [1])
    with pytest.raises(UserError, match=r"array\.npy: not a file of ranks"):
        Ranks.load(tmp_path / "array.npy")
