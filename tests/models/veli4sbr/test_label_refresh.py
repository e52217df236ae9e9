"""Neighbours and labels in strips equal those of the whole matrix."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.models.veli4sbr.label_refresh import Neighbours, refreshed_labels


def _sessions(n: int, c: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(n)
    return torch.randn(n, 8), torch.rand(n, c)


def _written_out(h: torch.Tensor, y_hat: torch.Tensor, k: int) -> torch.Tensor:
    """Equations (14)-(16) with all similarities at once."""
    unit = F.normalize(h, dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-2)
    near, index = cosine.topk(k)
    shared = (near.exp() / near.exp().sum(1, keepdim=True))[..., None] * y_hat[index]
    return (y_hat + shared.sum(1)) / 2


@pytest.mark.parametrize("n", [2, 31, 33, 64, 1000])
@pytest.mark.parametrize("k", [1, 7, 40])
@pytest.mark.parametrize("strip_rows", [None, 1, 13])
def test_strips_give_the_labels_of_the_whole_matrix(n, k, strip_rows):
    h, y_hat = _sessions(n)
    rows = torch.randperm(n)
    labels = refreshed_labels(h, y_hat, k, rows, strip_rows)
    expected = _written_out(h, y_hat, min(k, n - 1))[rows]
    torch.testing.assert_close(labels, expected, atol=1e-6, rtol=1e-5)


def test_neighbours_are_the_nearest_others_the_nearest_first():
    h, _ = _sessions(500)
    index, cosine = Neighbours(h, 9).of(torch.arange(100, 130))
    assert (cosine.diff(dim=1) <= 0).all()
    assert (index != torch.arange(100, 130)[:, None]).all()
    assert all(len(set(row)) == 9 for row in index.tolist())
    expected = F.cosine_similarity(h[100:130, None], h[index], dim=2)
    torch.testing.assert_close(cosine, expected)


def test_a_twin_is_a_neighbour_and_the_session_itself_is_not():
    h, y_hat = _sessions(50)
    h[7] = 3 * h[31]
    labels = refreshed_labels(h, y_hat, 1, torch.tensor([7, 31]))
    torch.testing.assert_close(labels, (y_hat[[7, 31]] + y_hat[[31, 7]]) / 2)


def test_only_neighbours_have_a_say():
    h, y_hat = _sessions(200)
    row = torch.tensor([5])
    (near,), _ = Neighbours(h, 4).of(row)
    before = refreshed_labels(h, y_hat, 4, row)
    for other in range(200):
        changed = y_hat.clone()
        changed[other] = 1 - changed[other]
        is_heard = not torch.equal(refreshed_labels(h, changed, 4, row), before)
        assert is_heard == (other == 5 or other in near.tolist())


def test_without_neighbours_a_label_is_the_prediction():
    h, y_hat = _sessions(20)
    assert torch.equal(refreshed_labels(h, y_hat, 0, torch.arange(20)), y_hat)
    assert torch.equal(refreshed_labels(h[:1], y_hat[:1], 5, torch.tensor([0])), y_hat[:1])


def test_half_precision_stays_so_and_in_range():
    h, y_hat = _sessions(300)
    labels = refreshed_labels(h, y_hat.half(), 6, torch.arange(300))
    assert labels.dtype == torch.float16
    torch.testing.assert_close(labels.float(), _written_out(h, y_hat, 6), atol=2e-3, rtol=0)
    assert 0 <= labels.min() <= labels.max() <= 1


@pytest.mark.parametrize("k", [0, 20])
def test_impossible_numbers_of_neighbours_are_refused(k):
    with pytest.raises(ValueError, match=r"k must be in 1 \.\. 19"):
        Neighbours(torch.randn(20, 4), k)
