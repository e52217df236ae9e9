"""The k best: equal to a stable sort, ties by item id, nothing that was excluded."""

import pytest
import torch

from recbole_intent.nn.top_k import top_k
from recbole_intent.utils.errors import UserError


def plain(scores, k, excluded=None):
    """By sorting each row whole."""
    rows = []
    for b, row in enumerate(scores.tolist()):
        gone = {0}
        if excluded is not None:
            gone |= {int(i) for r, i in zip(*excluded, strict=True) if r == b}
        left = [i for i in range(len(row)) if i not in gone]
        rows.append(sorted(left, key=lambda i, row=row: (-row[i], i))[:k])
    return rows


@pytest.mark.parametrize("levels", [2, 5, 1000], ids=lambda n: f"{n} values")
@pytest.mark.parametrize("k", [1, 4, 29, 30])
def test_equals_a_stable_sort(levels, k):
    generator = torch.Generator().manual_seed(levels + k)
    scores = torch.randint(levels, (50, 30), generator=generator).float()
    excluded = tuple(torch.randint(top, (60,), generator=generator) for top in (50, 30))
    for pairs in (None, excluded):
        best, items = top_k(scores, k, excluded=pairs)
        assert items.shape == (50, min(k, 29))
        listed = [
            [i for i, s in zip(*row, strict=True) if s > float("-inf")]
            for row in zip(items.tolist(), best.tolist(), strict=True)
        ]
        assert listed == plain(scores, k, pairs)
        shown = best > float("-inf")
        assert torch.equal(best[shown], scores.gather(1, items)[shown])


def test_scores_are_not_changed_and_may_be_shared():
    scores = torch.arange(6.0).expand(3, 6)  # as a model may return it: one row for all
    _, items = top_k(scores, 2, excluded=(torch.tensor([1]), torch.tensor([5])))
    assert items.tolist() == [[5, 4], [4, 3], [5, 4]]
    assert scores[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_list_with_all_items_excluded_is_empty():
    rows, items = torch.zeros(4).long(), torch.arange(4)
    best, _ = top_k(torch.zeros(1, 4), 3, excluded=(rows, items))
    assert best.isinf().all()


def test_nan_is_named_and_k_is_positive():
    scores = torch.zeros(3, 9)
    scores[1, 7] = float("nan")
    with pytest.raises(UserError, match="item 7 of row 1 as NaN"):
        top_k(scores, 2)
    with pytest.raises(ValueError, match="at least 1"):
        top_k(scores, 0)
