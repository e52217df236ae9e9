"""The objective of LARES's reinforcement stage, a group-relative policy optimization (GRPO)."""

from collections.abc import Sequence

import torch
from torch import Tensor


def rewards_of(ranks: Tensor, reward: str, k: int) -> Tensor:
    """Rewards of targets by their ranks, of any shape, from 0.

    Args:
        ranks: number of items above the target.
        reward: `recall`: 1 below k; `ndcg`: 1 / log2(rank + 2) below k.
        k: length of the list.
    """
    gain = torch.ones_like(ranks, dtype=torch.float32)
    if reward == "ndcg":
        gain = 1 / torch.log2(ranks.float() + 2)
    return torch.where(ranks < k, gain, 0.0)


def policy_losses(
    log_p: Sequence[Tensor], reference: Sequence[Tensor], rewards: Tensor
) -> tuple[Tensor, Tensor]:
    """The two parts of the loss over G rollouts of B rows.

    Args:
        log_p: per rollout, log-probabilities (B, T) of the targets at its steps; T may differ.
        reference: the same of the frozen pre-trained model.
        rewards: (G, B) of the last steps.

    Returns:
        Means over rollouts, rows and steps of -exp(log p - sg log p) A and of the estimate
        exp(Δ) - Δ - 1 >= 0 of the divergence, Δ = log reference - log p. A is a rollout's reward
        minus the mean of its row's group, over their standard deviation + 1e-4.

    Source: LARES, reinforcement post-training.
    """
    advantage = (rewards - rewards.mean(dim=0)) / (rewards.std(dim=0) + 1e-4)  # (G, B)
    policy, divergence = [], []
    for own, theirs, A in zip(log_p, reference, advantage, strict=True):
        policy.append(-((own - own.detach()).exp().mean(dim=1) * A).mean())
        delta = theirs - own
        divergence.append((delta.exp() - delta - 1).mean())
    return torch.stack(policy).mean(), torch.stack(divergence).mean()
