"""Random views: what stays, what goes, and that padding plays no part."""

import pytest
import torch

from recbole_intent.nn.augment import crop, mask, random_view, reorder

N = 12
RATIOS = {"crop_ratio": 0.4, "mask_ratio": 0.5, "reorder_ratio": 0.6}


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """2,000 rows of lengths 1 to N; the item at place j of a row is j + 1."""
    torch.manual_seed(0)
    length = torch.randint(1, N + 1, (2000,))
    column = torch.arange(N)
    return (column + 1) * (column < length[:, None]), length


def test_a_cropped_row_is_a_run_of_its_items_from_anywhere(rows):
    item_seq, length = rows
    items, kept = crop(item_seq, length, 0.4)
    assert torch.equal(kept, (0.4 * length).long().clamp_min(1))
    for row, k, n in zip(items.tolist(), kept.tolist(), length.tolist(), strict=True):
        assert row == [*range(row[0], row[0] + k), *[0] * (N - k)]
        assert 1 <= row[0] <= n - k + 1
    starts = items[length == N][:, 0]
    assert {*starts.tolist()} == {*range(1, N - 4 + 2)}  # all, the first and the last included


def test_a_masked_row_loses_that_share_anywhere(rows):
    item_seq, length = rows
    items, same = mask(item_seq, length, 0.5)
    assert torch.equal(same, length)
    assert ((items == item_seq) | (items == 0)).all()
    assert torch.equal((items > 0).sum(1), length - (0.5 * length).long())
    lost = (items[length == N] == 0).float().mean(dim=0)
    assert (lost - 0.5).abs().max() < 0.2


def test_a_reordered_row_has_its_items_in_another_order_within_a_run(rows):
    item_seq, length = rows
    items, same = reorder(item_seq, length, 0.6)
    assert torch.equal(same, length)
    assert torch.equal(items.sort(dim=1).values, item_seq.sort(dim=1).values)
    moved = items != item_seq
    first = moved.float().argmax(dim=1)
    last = N - 1 - moved.flip(1).float().argmax(dim=1)
    span = torch.where(moved.any(dim=1), last - first + 1, 0)
    assert (span <= (0.6 * length).long()).all()
    assert moved[length == N].float().mean(dim=0).min() > 0.05


@pytest.mark.parametrize("view", [crop, mask, reorder])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_ends_of_the_range(rows, view, ratio):
    item_seq, length = rows
    items, lengths = view(item_seq, length, ratio)
    column = torch.arange(N)
    assert (items * (column >= lengths[:, None]) == 0).all()
    if (view is crop) == (ratio == 1) and view is not reorder:
        assert torch.equal(items, item_seq)
    if view is mask and ratio == 1:
        assert (items == 0).all()


def test_padding_changes_nothing_and_each_kind_is_drawn(rows):
    item_seq, length = rows
    torch.manual_seed(3)
    items, lengths = random_view(item_seq, length, **RATIOS)
    torch.manual_seed(3)
    wide, same = random_view(torch.nn.functional.pad(item_seq, (0, 5)), length, **RATIOS)
    assert torch.equal(wide[:, :N], items)
    assert torch.equal(same, lengths)
    long = length == N
    is_short, has_hole = (lengths < length)[long], ((items == 0).sum(1) == 6)[long]
    assert 0.2 < is_short.float().mean() < 0.5
    assert 0.2 < has_hole.float().mean() < 0.5
