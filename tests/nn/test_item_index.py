"""The index: exact where it compares all, and never an item that must not be listed."""

import sys

import pytest
import torch

from recbole_intent.nn.item_index import ItemIndex
from recbole_intent.nn.top_k import top_k
from recbole_intent.utils.errors import UserError

V, D, B = 3000, 16, 40


@pytest.fixture
def vectors():
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(30, D, generator=generator) * 2  # items come in kinds, as real ones do
    table = centres[torch.arange(V) % 30] + 0.3 * torch.randn(V, D, generator=generator)
    table[0] = 100  # padding, however large
    users = centres[torch.arange(B) % 30] + torch.randn(B, D, generator=generator)
    return table, users


@pytest.fixture
def excluded():
    generator = torch.Generator().manual_seed(4)
    return torch.randint(B, (500,), generator=generator), torch.randint(V, (500,))


def test_exact_index_equals_the_exact_search(vectors, excluded):
    table, users = vectors
    index = ItemIndex(table)
    assert index.is_exact
    for pairs in (None, excluded):
        scores, items = index.search(users, 10, pairs)
        best, exact = top_k(users @ table.T, 10, excluded=pairs)
        assert torch.equal(items, exact)
        torch.testing.assert_close(scores, best, rtol=1e-5, atol=1e-5)


def test_approximate_index_finds_most_and_nothing_excluded(vectors, excluded):
    table, users = vectors
    index = ItemIndex(table, exact_up_to=10)
    assert not index.is_exact
    _, exact = top_k(users @ table.T, 10)
    # The best items themselves leave the lists.
    excluded = torch.arange(B).repeat_interleave(10), exact.flatten()
    for pairs in (None, excluded):
        scores, items = index.search(users, 10, pairs)
        _, exact = top_k(users @ table.T, 10, excluded=pairs)
        is_found = scores > float("-inf")
        torch.testing.assert_close(
            scores[is_found], (users @ table.T).gather(1, items)[is_found], rtol=1e-4, atol=1e-4
        )
        assert (scores.sort(dim=1, descending=True).values == scores).all()
        hits = (items.unsqueeze(2) == exact.unsqueeze(1)).any(dim=2).float().mean()
        assert hits > 0.5
        assert not ((items == 0) & is_found).any()
        if pairs is not None:
            banned = set(zip(*(pair.tolist() for pair in pairs), strict=True))
            rows = torch.arange(B)[:, None].expand_as(items)[is_found].tolist()
            assert not banned & set(zip(rows, items[is_found].tolist(), strict=True))


def test_more_than_there_is(vectors):
    table = vectors[0][:6]
    scores, items = ItemIndex(table).search(vectors[1], 9)
    assert scores.shape == (B, 5)
    assert set(items.flatten().tolist()) == {1, 2, 3, 4, 5}


def test_without_faiss_it_says_what_to_install(vectors, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"\(extra ann\): pip install faiss-cpu"):
        ItemIndex(vectors[0])
