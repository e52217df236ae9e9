"""ReaRec: a causal encoder that continues for K latent steps after a history's last item."""

from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.nn.initialization import init_normal
from recbole_intent.nn.losses import info_nce, linear_cross_entropy
from recbole_intent.nn.sasrec_layers import encode_causal, encode_next, transformer_encoder
from recbole_intent.nn.strips import in_strips


class ReaRec(NextItemMixin, SequentialRecommender):
    """Think Before Recommend: Unleashing the Latent Reasoning Power for Sequential Recommendation.

    Tang et al., arXiv 2503.22675, 2025.

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d, V | | histories of a batch, items of a history, width, items |
    | K | | reasoning steps: `reason_steps` |
    | E | (V, d) | item table, for inputs and for scores |
    | p_k | (d,) | vector of reasoning position k (`reason_position`) |
    | h_0 | (B, d) | state of the last item |
    | h_k | (B, d) | state of step k = 1 .. K, read from LayerNorm(h_{k-1} + p_k) |
    | q_k | (B, V) | softmax(h_k E' / τ): what step k would recommend |
    | g_k | (B, d) | as h_k in a second pass, whose steps read h_{k-1} + p_k + N(0, γ²) |

    A step is one more position of the same encoder: it attends to the history and to the earlier
    steps, through their stored keys and values. Positions count real items only.

    `variant: prl` (progressive): the user vector is h_K. Loss: cross-entropy of q_K; plus
    `progressive_weight` times the mean cross-entropy of h_0 .. h_{K-1}, with temperatures
    τ s^(K-k) that fall from step to step; plus, after `contrast_after` epochs, `contrast_weight`
    times InfoNCE of g_k against the h_k of the batch (inner products over τ), averaged over the
    steps.

    `variant: erl` (ensemble): the user vector is the mean of h_0 .. h_K. Loss: its cross-entropy
    minus `kl_weight` times the mean over pairs i ≠ j of KL(q_i, q_j), whose second argument has no
    gradient. This divergence has no bound, so a large `kl_weight` makes the training diverge.

    Differences from the authors' code: histories are padded on the right, which changes nothing
    else; the divergence is computed from logarithms, so it stays finite where a probability
    underflows, which theirs does not; with K = 0 terms over steps are absent instead of undefined.

    `reason_steps: 0` is a SASRec with `input_dropout_prob` and a temperature.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        self.variant = config["variant"]
        self.K = config["reason_steps"]
        self.temperature = config["temperature"]
        self.temperature_scale = config["temperature_scale"]
        self.noise_std = config["noise_std"]
        self.contrast_after = config["contrast_after"]
        weights = {
            "prl": {"progress": "progressive_weight", "contrast": "contrast_weight"},
            "erl": {"divergence": "kl_weight"},
        }[self.variant]
        self.weights = {
            name: config[key] for name, key in weights.items() if self.K and config[key]
        }
        d, eps = config["hidden_size"], config["layer_norm_eps"]
        self.item_embedding = nn.Embedding(self.n_items, d, padding_idx=0)
        self.position_embedding = nn.Embedding(self.max_seq_length, d)
        self.reason_position = nn.Embedding(self.K, d)
        self.LayerNorm = nn.LayerNorm(d, eps=eps)
        self.dropout = FastDropout(config["input_dropout_prob"])
        self.trm_encoder = transformer_encoder(config)
        self.initializer_range = config["initializer_range"]
        init_normal(self, self.initializer_range)
        self.start_epoch(0)

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """The steps follow one last item, so each target needs its own row."""
        return False

    def start_epoch(self, epoch: int) -> None:
        """Set the terms of the loss of an epoch, from 0: the first ones have no contrast."""
        is_warm = epoch >= self.contrast_after
        used = (name for name in self.weights if is_warm or name != "contrast")
        self.loss_names = ("rec", *used)

    def states(self, item_seq: Tensor, item_seq_len: Tensor, noisy: bool = False) -> Tensor:
        """h_0 .. h_K of histories (B, n) of length (B,): (B, K + 1, d).

        With `noisy`, g_0 .. g_K of a second pass, with dropout of its own, follow: (2 B, K + 1, d).
        """
        B, n = item_seq.shape
        x = self.item_embedding(item_seq) + self.position_embedding.weight[:n]
        if noisy:
            x, item_seq_len = x.repeat(2, 1, 1), item_seq_len.repeat(2)
        memory: list[tuple[Tensor, Tensor]] = []
        x = self.dropout(self.LayerNorm(x))
        states = [encode_causal(self.trm_encoder, x, item_seq_len - 1, memory)]
        is_padding = torch.arange(n, device=x.device) >= item_seq_len[:, None]
        mask = torch.zeros(is_padding.shape, dtype=x.dtype, device=x.device)
        mask = mask.masked_fill_(is_padding, float("-inf"))[:, None, None]  # (B, 1, 1, n)
        for p_k in self.reason_position.weight:
            x = states[-1][:B] + p_k
            if noisy:
                x = torch.cat([x, x + self.noise_std * torch.randn_like(x)])
            mask = F.pad(mask, (0, 1))
            x = self.dropout(self.LayerNorm(x))
            states.append(encode_next(self.trm_encoder, x, memory, mask))
        return torch.stack(states, dim=1)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """User vectors (B, d)."""
        return self._user_vectors(self.states(item_seq, item_seq_len))

    def _user_vectors(self, h: Tensor) -> Tensor:
        return h[:, -1] if self.variant == "prl" else h.mean(dim=1)

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`; each is a mean over the rows."""
        target, table, tau = interaction[self.POS_ITEM_ID], self.item_table(), self.temperature
        noisy = "contrast" in self.loss_names
        states = self.states(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN], noisy)
        h, g = states[: len(target)], states[len(target) :]
        smoothing = self.label_smoothing
        main = self._user_vectors(h)
        losses = [
            linear_cross_entropy(main, table, target, temperature=tau, label_smoothing=smoothing)
        ]
        for name in self.loss_names[1:]:
            if name == "progress":
                term = self._progress(h, target)
            elif name == "contrast":
                pairs = zip(g[:, 1:].unbind(1), h[:, 1:].unbind(1), strict=True)
                terms = [info_nce(g_k, h_k, tau, similarity="dot") for g_k, h_k in pairs]
                term = torch.stack(terms).mean()
            else:
                term = -divergence(h, table, tau)
            losses.append(self.weights[name] * term)
        return tuple(losses)

    def _progress(self, h: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of h_0 .. h_{K-1} with temperatures τ s^(K-k)."""
        scale = self.temperature_scale ** torch.arange(self.K, 0, -1, device=h.device)  # (K,)
        earlier = (h[:, :-1] / scale[:, None]).flatten(0, 1)  # (B K, d)
        return linear_cross_entropy(
            earlier,
            self.item_table(),
            target.repeat_interleave(self.K),
            temperature=self.temperature,
            label_smoothing=self.label_smoothing,
        )


def divergence(h: Tensor, table: Tensor, temperature: float) -> Tensor:
    """Mean over rows and pairs i ≠ j of KL(q_i, sg q_j), q_i = softmax(h_i table' / temperature).

    Args:
        h: (B, m, d), m >= 2.
        table: (V, d).
        temperature: > 0.

    Returns:
        Scalar >= 0. The second distribution of each pair has no gradient.

    Source: ReaRec, the regulariser of ensemble reasoning learning.
    """

    def of_rows(h: Tensor) -> Tensor:
        log_q = (h @ table.t() / temperature).log_softmax(dim=-1)  # (c, m, V)
        fixed = log_q.detach()
        # The pairs i = j add nothing but would have a gradient, so they are left out of the sum.
        others = fixed.sum(dim=1, keepdim=True) - fixed
        return (log_q.exp() * ((m - 1) * log_q - others)).sum(dim=-1).mean(dim=1) / (m - 1)

    m = h.size(1)
    with torch.autocast(h.device.type, enabled=False):
        return in_strips(of_rows, h.float(), width=4 * m * len(table)).mean()
