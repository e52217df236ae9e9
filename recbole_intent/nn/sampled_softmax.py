"""Softmax cross-entropy over the target and sampled items, in place of all items."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UNIFORM, LOG_UNIFORM, IN_BATCH = "uniform", "log_uniform", "in_batch"


def sampled_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    negatives: Tensor,
    log_q: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of the target among itself and sampled negatives.

    A negative that equals the row's target is left out of that row's softmax.

    Args:
        hidden: (N, d) vectors that score the items, N >= 1.
        weight: (V, d) item vectors.
        target: (N,) int64 true items.
        negatives: (N, S) int64 items of each row, or (S,) items shared by all rows.
        log_q: (V,) log of the probability that an item is drawn. It is subtracted from all logits,
            so that the expected gradient approaches that of the full softmax; None: no correction.

    Returns:
        Scalar.

    Source: Bengio and Senécal, "Adaptive importance sampling to accelerate training of a neural
    probabilistic language model", 2008; log-q correction as in Yi et al., "Sampling-bias-corrected
    neural modeling for large corpus item recommendations", RecSys 2019.
    """
    positive = (hidden * weight[target]).sum(-1, keepdim=True)  # (N, 1)
    if negatives.dim() == 1:
        negative = hidden @ weight[negatives].t()  # (N, S)
    else:
        negative = torch.bmm(F.embedding(negatives, weight), hidden.unsqueeze(-1)).squeeze(-1)
    if log_q is not None:
        positive = positive - log_q[target].unsqueeze(-1)
        negative = negative - log_q[negatives]
    negative = negative.masked_fill(negatives == target.unsqueeze(-1), float("-inf"))
    logits = torch.cat([positive, negative], dim=1).float()
    return (logits.logsumexp(dim=1) - logits[:, 0]).mean()


class NegativeSampler(nn.Module):
    """Draws the negatives of a batch.

    - `uniform`: any item with equal probability.
    - `log_uniform`: the item of popularity rank r, from 1, with probability
      log((r + 1) / r) / log(V + 1), among V items; the sampler of TensorFlow's sampled softmax.
    - `in_batch`: the targets of the batch's other rows, hence by popularity; nothing is drawn.

    Args:
        kind: one of these.
        n_negatives: S >= 1; not used by `in_batch`.
        shared: draw (S,) items for the whole batch instead of (N, S).
        counts: (V,) how often each item occurs in the training split; item 0 is padding.
    """

    log_q: Tensor
    by_rank: Tensor  # of `log_uniform` only

    def __init__(self, kind: str, n_negatives: int, shared: bool, counts: Tensor) -> None:
        super().__init__()
        self.kind, self.n_negatives, self.shared = kind, n_negatives, shared
        counts = counts.double().clone()
        counts[0] = 0
        n_items = len(counts) - 1
        # Not part of checkpoints: they follow from the data.
        if kind == LOG_UNIFORM:
            by_rank = counts[1:].argsort(descending=True, stable=True) + 1
            rank = torch.arange(1, n_items + 1, dtype=torch.float64)
            probability = torch.zeros_like(counts)
            probability[by_rank] = ((rank + 1) / rank).log() / torch.tensor(n_items + 1.0).log()
            self.register_buffer("by_rank", by_rank, persistent=False)
        elif kind == IN_BATCH:
            probability = counts / counts.sum().clamp_min(1)
        else:
            probability = torch.full_like(counts, 1 / max(1, n_items))
        # Padding and unseen items are never drawn; any finite value will do.
        log_q = probability.clamp_min(1e-12).log().float()
        self.register_buffer("log_q", log_q, persistent=False)

    def forward(self, target: Tensor) -> Tensor:
        """Negatives (N, S) or (S,) for the targets (N,) of a batch."""
        if self.kind == IN_BATCH:
            return target
        n_items = len(self.log_q) - 1
        size = (self.n_negatives,) if self.shared else (len(target), self.n_negatives)
        if self.kind == UNIFORM:
            return torch.randint(1, n_items + 1, size, device=target.device)
        # The inverse of the distribution function log(r + 1) / log(V + 1) at a uniform number.
        uniform = torch.rand(size, device=target.device, dtype=torch.float64)
        rank = ((n_items + 1.0) ** uniform).long().clamp_(1, n_items)
        return self.by_rank[rank - 1]
