"""BSARec: each layer mixes self-attention with a learned frequency filter."""

from typing import Any

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.model.layers import TransformerLayer
from torch import Tensor, nn

from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.nn.initialization import init_normal
from recbole_intent.nn.sasrec_layers import (
    attend,
    finish_attention,
    finish_ffn,
    project,
    use_fast_dropout,
)


def low_pass(n: int, n_frequencies: int) -> Tensor:
    """The matrix (n, n) that keeps a series' lowest frequencies.

    Equal to an orthonormal real FFT along a window of n positions whose coefficients from number
    `n_frequencies` on are set to 0, and its inverse. A product with this matrix is faster than
    two FFTs of such short windows.
    """
    spectrum = torch.fft.rfft(torch.eye(n, dtype=torch.float64), dim=0, norm="ortho")
    spectrum[n_frequencies:] = 0
    return torch.fft.irfft(spectrum, n=n, dim=0, norm="ortho").float()


class FrequencyLayer(nn.Module):
    """DSP(X) = LN(X + Drop(low + β² ⊙ (X - low))): the filter of one layer.

    Args:
        n: width of the window.
        d: width of the states.
        n_frequencies: how many of the lowest frequencies are `low`.
        dropout: of the filtered states.
        layer_norm_eps: epsilon of LayerNorm.
    """

    low: Tensor

    def __init__(
        self, n: int, d: int, n_frequencies: int, dropout: float, layer_norm_eps: float
    ) -> None:
        super().__init__()
        self.register_buffer("low", low_pass(n, n_frequencies), persistent=False)
        self.beta = nn.Parameter(torch.randn(d))
        self.dropout = FastDropout(dropout)
        self.LayerNorm = nn.LayerNorm(d, eps=layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """X (B, n, d) -> (B, n, d)."""
        low = self.low @ x
        return self.LayerNorm(x + self.dropout(low + self.beta**2 * (x - low)))


class BSARec(NextItemMixin, SequentialRecommender):
    """BSARec: α of a frequency filter, 1 - α of self-attention (Shin et al., AAAI 2024).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d | | histories of a batch, `MAX_ITEM_LIST_LENGTH`, `hidden_size` |
    | X | (B, n, d) | states; X⁰ = Drop(LN(item + position vectors)), padding at the left |
    | A(X) | (B, n, d) | SASRec's causal self-attention sub-layer, with residual and LayerNorm |
    | DSP(X) | (B, n, d) | the frequency filter (`FrequencyLayer`) |
    | α, c | | `filter_weight`; the lowest c // 2 + 1 frequencies pass whole |
    | h_u | (B, d) | the last layer's state at the last position |

    X^{l+1} = FFN(α DSP(X^l) + (1 - α) A(X^l)), with residual and LayerNorm. The loss is the
    cross-entropy over all items at the last position. The filter looks at the whole window,
    padding's position vectors included, so that every target needs a row of full width.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        d, n, eps = config["hidden_size"], self.max_seq_length, config["layer_norm_eps"]
        dropout = config["hidden_dropout_prob"]
        self.alpha = config["filter_weight"]
        self.item_embedding = nn.Embedding(self.n_items, d, padding_idx=0)
        self.position_embedding = nn.Embedding(n, d)
        self.LayerNorm = nn.LayerNorm(d, eps=eps)
        self.dropout = FastDropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(
                config["n_heads"],
                d,
                config["inner_size"],
                dropout,
                config["attn_dropout_prob"],
                config["hidden_act"],
                eps,
            )
            for _ in range(config["n_layers"])
        )
        use_fast_dropout(self.layers)
        passing = config["filter_frequencies"] // 2 + 1
        self.filters = nn.ModuleList(
            FrequencyLayer(n, d, passing, dropout, eps) for _ in range(config["n_layers"])
        )
        self.initializer_range = config["initializer_range"]
        init_normal(self, self.initializer_range)
        self.prepare_softmax(config, dataset)

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """The filter is not causal."""
        return False

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """User vectors (B, d) of histories (B, m), m <= n, right-padded with 0, of length (B,)."""
        n = self.max_seq_length
        column = torch.arange(n, device=item_seq.device) - (n - item_seq_len).unsqueeze(1)
        is_real = column >= 0
        items = item_seq.gather(1, column.clamp(0, item_seq.size(1) - 1)) * is_real
        x = self.item_embedding(items) + self.position_embedding.weight
        x = self.dropout(self.LayerNorm(x))
        mask = torch.full((n, n), float("-inf"), dtype=x.dtype, device=x.device).triu_(1)
        # Padding attends to itself, so that its softmax is over something.
        hidden = ~is_real[:, None] & ~torch.eye(n, dtype=torch.bool, device=x.device)
        mask = mask.masked_fill(hidden, float("-inf")).unsqueeze(1)  # (B, 1, n, n)
        for layer, frequency in zip(self.layers, self.filters, strict=True):
            q, k, v = project(layer, x)
            attended = finish_attention(layer, x, attend(layer, q, k, v, mask))
            x = finish_ffn(layer, self.alpha * frequency(x) + (1 - self.alpha) * attended)
        return x[:, -1]
