"""Strips give the values and gradients of the whole."""

import pytest
import torch

from recbole_intent.nn.strips import in_strips


@pytest.mark.parametrize("strip_rows", [1, 3, 100, None])
def test_strips_give_the_values_and_gradients_of_the_whole(strip_rows):
    torch.manual_seed(0)
    x, weight = torch.randn(7, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    target = torch.randint(0, 5, (7,))

    def loss(x, target):
        return torch.nn.functional.cross_entropy(x @ weight.T, target, reduction="none")

    expected = torch.autograd.grad(loss(x, target).square().sum(), (x, weight))
    found = in_strips(loss, x, target, width=5, strip_rows=strip_rows)
    torch.testing.assert_close(found, loss(x, target))
    for mine, theirs in zip(
        torch.autograd.grad(found.square().sum(), (x, weight)), expected, strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    with torch.no_grad():
        found = in_strips(loss, x, target, width=5, strip_rows=strip_rows)
    torch.testing.assert_close(found, loss(x, target))


def test_few_rows_are_held_at_a_time():
    sizes = []

    def note(x):
        sizes.append(len(x))
        return x

    with torch.no_grad():
        in_strips(note, torch.ones(10, 2), width=2**22)
    assert sizes == [4, 4, 2]
