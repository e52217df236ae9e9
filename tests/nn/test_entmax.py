"""α-entmax equals its definition, its known cases, and its numerical gradient."""

import pytest
import torch

from recbole_intent.nn.entmax import entmax

Z = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)).double() * 2


def sparsemax(z: torch.Tensor) -> torch.Tensor:
    """Projection on the simplex, by sorting."""
    largest = z.sort(dim=-1, descending=True).values
    rank = torch.arange(1, z.size(-1) + 1)
    taken = 1 + rank * largest > largest.cumsum(-1)
    k = taken.sum(-1, keepdim=True)
    return (z - (largest.cumsum(-1).gather(-1, k - 1) - 1) / k).clamp_min(0)


@pytest.mark.parametrize("alpha", [1.1, 1.5, 2.0, 3.0])
def test_it_is_its_definition(alpha):
    """One threshold per row explains all of p, zeros too; p is a distribution."""
    p = entmax(Z, alpha)
    torch.testing.assert_close(p.sum(-1), torch.ones(6).double())
    tau = (alpha - 1) * Z - p ** (alpha - 1)
    for row in range(6):
        inside = p[row] > 0
        assert (~inside).any() or alpha < 1.5
        torch.testing.assert_close(tau[row][inside], tau[row][inside][0].expand(inside.sum()))
        assert (((alpha - 1) * Z[row])[~inside] <= tau[row][inside][0] + 1e-9).all()


def test_known_cases():
    assert torch.equal(entmax(Z, 1.0), Z.softmax(-1))
    torch.testing.assert_close(entmax(Z, 1.0001), Z.softmax(-1), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(entmax(Z, 2.0), sparsemax(Z))
    torch.testing.assert_close(entmax(torch.zeros(1, 4), 1.5), torch.full((1, 4), 0.25))
    torch.testing.assert_close(entmax(torch.tensor([5.0, 0.0]), 1.5), torch.tensor([1.0, 0.0]))
    assert entmax(Z.float(), 1.5).dtype == torch.float32


def test_what_is_left_out_changes_nothing():
    padded = torch.cat([Z, torch.full((6, 3), -torch.inf).double()], dim=1)
    torch.testing.assert_close(entmax(padded, 1.5)[:, :9], entmax(Z, 1.5))
    assert (entmax(padded, 1.5)[:, 9:] == 0).all()


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_gradient(alpha):
    z = Z.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: entmax(z, alpha), z, eps=1e-7, atol=1e-5)


def test_alpha_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        entmax(Z, 0.5)
