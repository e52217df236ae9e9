"""LARES: a pre-block encodes a history once, a core block refines all its states T times."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.nn.initialization import init_normal
from recbole_intent.nn.losses import info_nce, linear_cross_entropy
from recbole_intent.nn.sasrec_layers import encode_causal, transformer_encoder
from recbole_intent.nn.strips import in_strips

_SIGMA = 0.5  # of the log-normal rate of the number of steps


class LARES(NextItemMixin, SequentialRecommender):
    """LARES: Latent Reasoning for Sequential Recommendation (Liu et al., arXiv 2505.16865, 2025).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d, V | | histories of a batch, items of a history, width, items |
    | A, C | | pre-block and core block, causal Transformers (`pre_encoder`, `core_encoder`) |
    | H | (B, n, d) | A(LayerNorm(items + positions)), once per pass |
    | s_0 | (B, n, d) | noise: `state_scale` times N(0, 1) cut off at ±3 |
    | s_t | (B, n, d) | C(LayerNorm((s_{t-1} + H) / 2)), t = 1 .. T, at all positions |
    | h_t | (B, d) | s_t at the last item; h_T is the user vector |
    | r | | `mean_recurrence` |

    Number of steps: in training, T - 1 is drawn from a Poisson distribution whose rate is
    log-normal with mean r, and T is at most 3 r; one draw per pass. In tests T is
    `test_recurrence`.

    Loss of the pre-training (SPT): cross-entropy over all items, in a pass of its own, and two
    alignments in another one, each a symmetric InfoNCE over the batch with temperature
    `temperature`: `trajectory_weight` times that of h_T with the h_T of another training history
    with the same target (the history itself, if there is none), and `step_weight` times that of
    h_T with h_t for one random t.

    A share `rpt_share` of the epochs is the reinforcement stage (RPT), see `LARESTrainer`.

    `similarity: cos`: scores and alignments use cosines, scores over τ; `dot`: inner products.

    Differences from the authors' code: when ranking, s_0 is one fixed draw for each position, where
    theirs draws new noise, so that a history has the same scores in every batch; dropout of
    attention is a key of its own, where theirs silently equals the other one; H and s are combined
    by their mean only, and only two of their rules for T are offered.
    """

    POSITIVE_SEQ, POSITIVE_LEN = "same_target_item_list", "same_target_item_length"
    compiled_parts = ("states",)

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        self.mean_recurrence = config["mean_recurrence"]
        self.is_constant = config["recurrence"] == "constant"
        self.test_recurrence = config["test_recurrence"] or self.mean_recurrence
        self.state_init = config["state_init"]
        self.state_scale = config["state_scale"]
        self.similarity = config["similarity"]
        self.temperature = config["temperature"]
        self.trajectory_weight = config["trajectory_weight"]
        self.step_weight = config["step_weight"]
        weights = {"trajectory": self.trajectory_weight, "step": self.step_weight}
        self.loss_names = ("rec", *(name for name, weight in weights.items() if weight))

        d, eps = config["hidden_size"], config["layer_norm_eps"]
        self.item_embedding = nn.Embedding(self.n_items, d, padding_idx=0)
        self.position_embedding = nn.Embedding(self.max_seq_length, d)
        self.pre_encoder, self.core_encoder = (
            transformer_encoder(config, layers) for layers in ("n_pre_layers", "n_core_layers")
        )
        self.LayerNorm = nn.LayerNorm(d, eps=eps)
        self.state_norm = nn.LayerNorm(d, eps=eps)
        self.dropout = FastDropout(config["hidden_dropout_prob"])
        self.initializer_range = config["initializer_range"]
        init_normal(self, self.initializer_range)
        self.register_buffer("first_state", self._noise((self.max_seq_length, d)))

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """The alignments compare whole histories, so each target has its own row."""
        return False

    def _noise(self, shape: tuple[int, ...], like: Tensor | None = None) -> Tensor:
        noise = torch.empty(shape) if like is None else torch.empty_like(like)
        nn.init.trunc_normal_(noise, a=-3.0, b=3.0)
        return self.state_scale * noise

    def draw_steps(self) -> int:
        """T of one pass: random in training (`recurrence: random`), else fixed."""
        if not self.training:
            return self.test_recurrence
        if self.is_constant:
            return self.mean_recurrence
        mean = math.log(self.mean_recurrence) - _SIGMA**2 / 2
        rate = torch.empty(()).log_normal_(mean, _SIGMA)
        return min(int(torch.poisson(rate)) + 1, 3 * self.mean_recurrence)

    def states(
        self, item_seq: Tensor, item_seq_len: Tensor, steps: int, is_random: bool = False
    ) -> Tensor:
        """h_1 .. h_T of histories (B, n) of length (B,): (B, T, d).

        Args:
            item_seq, item_seq_len: the histories, right-padded with 0.
            steps: T, from 1.
            is_random: draw s_0, as in training, also outside it.
        """
        n = item_seq.size(1)
        x = self.item_embedding(item_seq) + self.position_embedding.weight[:n]
        H = encode_causal(self.pre_encoder, self.dropout(self.LayerNorm(x)))
        is_random = is_random or self.training
        if self.state_init == "zero" or (self.state_init == "normal_zero" and not is_random):
            s = torch.zeros_like(H)
        else:
            s = self._noise(H.shape, like=H) if is_random else self.first_state[:n].expand_as(H)
        last, states = item_seq_len - 1, []
        for _ in range(steps - 1):
            s = encode_causal(self.core_encoder, self.state_norm((s + H) / 2))
            states.append(self.gather_indexes(s, last))
        x = self.state_norm((s + H) / 2)
        states.append(encode_causal(self.core_encoder, x, last))
        return torch.stack(states, dim=1)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """User vectors (B, d)."""
        h = self.states(item_seq, item_seq_len, self.draw_steps())[:, -1]
        return F.normalize(h, dim=-1) if self.similarity == "cos" else h

    def item_table(self) -> Tensor:
        """The vectors (V, d) that score items; row 0 is padding."""
        table = self.item_embedding.weight
        return F.normalize(table, dim=-1) if self.similarity == "cos" else table

    def cross_entropy(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of user vectors (N, d) over all items; of cosines over τ."""
        temperature = self.temperature if self.similarity == "cos" else 1.0
        return linear_cross_entropy(
            hidden,
            self.item_table(),
            target,
            temperature=temperature,
            label_smoothing=self.label_smoothing,
        )

    def log_probabilities(self, h: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities (B, T) of target items (B,) at states h_1 .. h_T (B, T, d)."""
        table, is_cos = self.item_table(), self.similarity == "cos"

        def of_rows(h: Tensor, target: Tensor) -> Tensor:
            logits = (F.normalize(h, dim=-1) / self.temperature if is_cos else h) @ table.t()
            own = logits.gather(2, target[:, None, None].expand(-1, h.size(1), 1)).squeeze(2)
            return own - logits.logsumexp(dim=-1)

        return in_strips(of_rows, h, target, width=2 * h.size(1) * len(table))

    @torch.no_grad()
    def ranks(self, h: Tensor, target: Tensor) -> Tensor:
        """Number of items (B,) that user vectors h (B, d) score above the target items (B,)."""
        table = self.item_table()

        def of_rows(h: Tensor, target: Tensor) -> Tensor:
            scores = h @ table.t()
            return (scores > scores.gather(1, target[:, None])).sum(dim=1)

        return in_strips(of_rows, h, target, width=2 * len(table))

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`.

        Histories with the same targets are in the columns `POSITIVE_SEQ` (B, m) and `POSITIVE_LEN`
        (B,), which the trainer adds; without them, each history is its own.
        """
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        losses = [self.cross_entropy(self.forward(item_seq, length), interaction[self.POS_ITEM_ID])]
        if len(self.loss_names) > 1:
            steps = self.draw_steps()
            h = self.states(item_seq, length, steps)
            if self.trajectory_weight:
                if self.POSITIVE_SEQ in interaction:
                    item_seq = interaction[self.POSITIVE_SEQ]
                    length = interaction[self.POSITIVE_LEN]
                other = self.states(item_seq, length, steps)[:, -1]
                losses.append(self.trajectory_weight * self._align(h[:, -1], other))
            if self.step_weight:
                t = int(torch.randint(steps, ()))
                losses.append(self.step_weight * self._align(h[:, -1], h[:, t]))
        return tuple(losses)

    def _align(self, view_1: Tensor, view_2: Tensor) -> Tensor:
        return info_nce(
            view_1, view_2, self.temperature, symmetric=True, similarity=self.similarity
        )
