"""FastDropout has the mean and variance of dropout, and follows the seed."""

import pytest
import torch

from recbole_intent.nn.dropout import FastDropout, kept_share, random_keep


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.8])
def test_share_mean_and_variance(p):
    torch.manual_seed(0)
    n = 400_000
    y = FastDropout(p).train()(torch.ones(n))
    share = kept_share(p)
    assert abs(share - (1 - p)) <= 1 / 512
    assert (y != 0).float().mean().item() == pytest.approx(share, abs=5e-3)
    assert y.mean().item() == pytest.approx(1.0, abs=1e-2)
    assert y.var().item() == pytest.approx((1 - share) / share, rel=3e-2)


def test_neighbours_are_independent():
    torch.manual_seed(0)
    keep = random_keep((100_000, 8), 0.5)
    correlation = torch.corrcoef(keep.T) - torch.eye(8)
    assert correlation.abs().max() < 0.02


def test_same_seed_same_mask_and_next_draw_differs():
    layer, x = FastDropout(0.5).train(), torch.ones(3, 5, 7)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_gradient_is_the_mask():
    x = torch.randn(50, 3, requires_grad=True)
    y = FastDropout(0.25).train()(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x, y)


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_ends_of_the_range(p, expected):
    assert torch.equal(FastDropout(p).train()(torch.ones(9)), torch.full((9,), expected))


def test_eval_is_identity_and_p_is_checked():
    x = torch.randn(4)
    assert FastDropout(0.9).eval()(x) is x
    with pytest.raises(ValueError, match="p must be in"):
        FastDropout(1.5)
