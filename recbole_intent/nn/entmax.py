"""α-entmax: a softmax that gives exact zeros."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_HALVINGS = 60  # of the interval with the threshold; more than float64 resolves


def entmax(scores: Tensor, alpha: float) -> Tensor:
    """α-entmax over the last dimension: p_i = [(α - 1) z_i - τ]_+^(1 / (α - 1)), sum_i p_i = 1.

    α = 1 is softmax (the limit), α = 2 sparsemax; the larger α, the more zeros.

    Args:
        scores: z (..., n); -inf leaves an element out, but not all of a row's.
        alpha: at least 1.

    Returns:
        p (..., n) >= 0 in the dtype of `scores`, differentiable once.

    Raises:
        ValueError: `alpha` below 1.

    Source: Peters, Niculae, Martins, "Sparse Sequence-to-Sequence Models", ACL 2019, (8) and
    proposition 2. τ, the only root of a falling function, is found by bisection.
    """
    if alpha < 1:
        raise ValueError(f"alpha must be at least 1, not {alpha}")
    return scores.softmax(dim=-1) if alpha == 1 else _Entmax.apply(scores, alpha)


class _Entmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores: Tensor, alpha: float) -> Tensor:
        z = scores.double() * (alpha - 1)
        z = z - z.amax(dim=-1, keepdim=True)
        # With the largest z at 0: its p is 1 at τ = -1, and all are 0 at τ = 0.
        low = torch.full_like(z[..., :1], -1.0)
        step = 1.0
        for _ in range(_HALVINGS):
            step /= 2
            p = (z - (low + step)).clamp_min(0) ** (1 / (alpha - 1))
            low = torch.where(p.sum(dim=-1, keepdim=True) >= 1, low + step, low)
        p = (z - low).clamp_min(0) ** (1 / (alpha - 1))
        p = (p / p.sum(dim=-1, keepdim=True)).to(scores.dtype)
        ctx.save_for_backward(p)
        ctx.alpha = alpha
        return p

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (p,) = ctx.saved_tensors
        s = torch.where(p > 0, p ** (2 - ctx.alpha), 0)
        mean = (s * gradient).sum(dim=-1, keepdim=True) / s.sum(dim=-1, keepdim=True)
        return s * (gradient - mean), None
