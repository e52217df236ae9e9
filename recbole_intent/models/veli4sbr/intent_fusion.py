"""VELI4SBR's intent prediction and fusion, and its losses on intents."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_intent.nn.dropout import FastDropout


class IntentFusion(nn.Module):
    """Multi-intent prediction and fusion: h̃ = h + g.

    q = W_q h, k_c = W_k e_c, v_c = W_v e_c (8); ŷ_c = σ(q · k_c), without 1/√d (9);
    g = Dropout(LayerNorm(h + Σ_c φ(ŷ_c) v_c)), φ(x) = x where x > τ, else 0 (11).

    Args:
        n_intents: C, size of the pool, >= 1.
        hidden_size: d, width of session vectors and of intents.
        threshold: τ in [0, 1]; the paper uses 0.5. An intent at or below it adds nothing.
        dropout: dropout probability of g, in [0, 1].
        layer_norm_eps: epsilon of the LayerNorm.
        initializer_range: standard deviation of initial weights and intent vectors.

    Shapes: h (..., d) -> h̃ (..., d) and logits (..., C); e (C, d).

    Source: VELI4SBR, section 4.2.1.
    """

    def __init__(
        self,
        n_intents: int,
        hidden_size: int,
        *,
        threshold: float = 0.5,
        dropout: float = 0.1,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.intents = nn.Parameter(torch.empty(n_intents, hidden_size))  # e
        self.query, self.key, self.value = (
            nn.Linear(hidden_size, hidden_size, bias=False) for _ in range(3)
        )
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.dropout = FastDropout(dropout)
        for weight in (self.intents, self.query.weight, self.key.weight, self.value.weight):
            nn.init.normal_(weight, std=initializer_range)

    def relevance(self, h: Tensor) -> Tensor:
        """Logits q · k_c (..., C) of the probabilities ŷ = σ(logits), for h (..., d)."""
        return self.query(h) @ self.key(self.intents).T

    def forward(
        self, h: Tensor, exchange: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """h (..., d) -> h̃ (..., d) and the logits (..., C).

        `exchange` replaces Σ_c φ(ŷ_c) v_c (..., d), what the intents add, by that of others.
        """
        logits = self.relevance(h)
        y_hat = logits.sigmoid()
        gated = y_hat.where(y_hat > self.threshold, 0)  # φ
        guidance = gated @ self.value(self.intents)  # (..., d)
        if exchange is not None:
            guidance = exchange(guidance)
        return h + self.dropout(self.LayerNorm(h + guidance)), logits


class FusionWithoutIntents(nn.Module):
    """`IntentFusion` when no intent exceeds τ: h̃ = h + Dropout(LayerNorm(h)).

    This control differs from the plain backbone: it separates the effect of the intents from that
    of the branch that reads them.

    Args:
        hidden_size, dropout, layer_norm_eps: as in `IntentFusion`.

    Shapes: h (..., d) -> h̃ (..., d).
    """

    def __init__(
        self, hidden_size: int, *, dropout: float = 0.1, layer_norm_eps: float = 1e-12
    ) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.dropout = FastDropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """h (..., d) -> h̃ (..., d)."""
        return h + self.dropout(self.LayerNorm(h))


def intent_loss(logits: Tensor, labels: Tensor, has_labels: Tensor) -> Tensor:
    """Binary cross-entropy over the pool, for the rows that have labels.

    A row without labels adds 0, and the mean is over all rows: as in the paper's sums over
    sessions, such a row has a next-item loss but no intent loss.

    Args:
        logits: (N, C) from `IntentFusion`, N >= 1.
        labels: (N, C) in [0, 1].
        has_labels: (N,) bool.

    Returns:
        Scalar: Σ over labelled rows of the mean over the pool, divided by N.

    Source: VELI4SBR, equation (10).
    """
    of_pair = F.binary_cross_entropy_with_logits(
        logits[has_labels], labels[has_labels], reduction="sum"
    )
    return of_pair / logits.numel()


def decoupling_loss(intents: Tensor) -> Tensor:
    """Minus the mean squared distance between the directions of intents (C, d).

    The mean is over all ordered pairs of different intents, after L2 normalisation; in
    [-2 C / (C - 1), 0], and 0 for a single intent. Any intents whose directions sum to zero are an
    optimum, even half of them in one direction and half in the opposite one. Since
    ‖ê_i - ê_j‖² = 2 - 2 ê_i·ê_j, pairs are never materialised.

    Source: VELI4SBR, below equation (17).
    """
    C = len(intents)
    if C == 1:
        return intents.sum() * 0
    total = F.normalize(intents, dim=1).sum(0)
    return 2 * (total.square().sum() - C) / (C * (C - 1)) - 2


def orthogonal_loss(intents: Tensor) -> Tensor:
    """The mean squared cosine between pairs of intents (C, d), 0 if they are orthogonal.

    The mean is over all ordered pairs of different intents; in [0, 1], 1 if all lie on one line,
    0 for a single intent. Unlike `decoupling_loss` it has no optimum with coinciding intents while
    C <= d. Σ_ij (ê_i·ê_j)² is the squared norm of the d x d matrix ÊᵀÊ.

    Not in the paper.
    """
    C = len(intents)
    if C == 1:
        return intents.sum() * 0
    unit = F.normalize(intents, dim=1)
    return ((unit.T @ unit).square().sum() - C) / (C * (C - 1))
