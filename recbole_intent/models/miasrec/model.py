"""MiaSRec: scores by the best and by the mean of several intents of a session."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_intent.modeling.explain import ExplainsIntents, Intent, nearest_items
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.nn.entmax import entmax
from recbole_intent.nn.sasrec_layers import encode_both_ways, transformer_encoder
from recbole_intent.nn.strips import in_strips

_EXPLAINED = 5  # number of intents that `explain` lists per session


class MiaSRec(ExplainsIntents, SequentialRecommender):
    """Multi-intent-aware Session-based Recommendation (Choi, Kim, Cho, Lee; SIGIR 2024).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d, V | | sessions of a batch, items of a session, width, items |
    | E | (V, d) | item table |
    | x | (B, 1 + n, d) | the mean of the session's item vectors, then its items, newest first |
    | c | (B, 1 + n) | how often each item occurs in the session, at most `max_repeat` |
    | s | (B, 1 + n, d) | encoder over LayerNorm(x + position + vector of c), in both directions |
    | r | (B, 1 + n, d) | g ⊙ x + (1 - g) ⊙ s with a highway gate g = σ(W [x ; s]) |
    | a | (B, 1 + n) | entmax_α over the session of a linear function of [r_0 ; r_t] |
    | u | (B, 1 + n, d) | r / ‖r‖: intents; those with a = 0 are dropped |

    Score of item i, with cosines to E_i: β max_t u_t·ê_i + (1 - β) mean_t u_t·ê_i over the intents
    that are kept. Loss: cross-entropy of the scores over τ.

    `importance: select` (the authors' code): a only decides which intents are kept. It scales r
    before the norm, which removes the scale again, so no gradient reaches its linear function,
    which stays as it was initialised. `importance: weigh` (ours): the mean over the intents is
    weighted by a, which is then learned.

    Differences from the authors' code: the mean vector has repeat count 1, where theirs counts as
    one more occurrence of item 1; the maximum is over the intents that are kept, where theirs
    includes a score of 0 for each padded or dropped place, so that scores depend on the other
    sessions of the batch; `entmax_alpha` is set, which their configuration leaves out. Their
    `embedding_size` is `hidden_size` here.
    """

    label_smoothing = 0.0

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        self.temperature = config["temperature"]
        self.max_repeat = config["max_repeat"]
        self.entmax_alpha = config["entmax_alpha"]
        self.beta = config["beta_logit"]
        self.weighs = config["importance"] == "weigh"
        d, eps = config["hidden_size"], config["layer_norm_eps"]
        self.item_embedding = nn.Embedding(self.n_items, d, padding_idx=0)
        self.position_embedding = nn.Embedding(self.max_seq_length + 1, d)
        self.repeat_embedding = nn.Embedding(self.max_repeat + 1, d, padding_idx=0)
        self.trm_encoder = transformer_encoder(config)
        self.LayerNorm = nn.LayerNorm(d, eps=eps)
        self.dropout = FastDropout(config["hidden_dropout_prob"])
        self.sess_dropout = FastDropout(config["sess_dropout"])
        self.item_dropout = FastDropout(config["item_dropout"])
        self.highway = nn.Linear(2 * d, d)
        self.importance = nn.Linear(2 * d, 1)
        self.importance.requires_grad_(self.weighs)

        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=config["initializer_range"])
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        nn.init.uniform_(self.item_embedding.weight, -1 / math.sqrt(d), 1 / math.sqrt(d))

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> tuple[Tensor, Tensor]:
        """Intents u (B, 1 + n, d) of sessions (B, n) of length (B,), and a (B, 1 + n).

        Place 0 is the mean of the session, place t its t-th last item; a is 0 at padding.
        """
        item_seq = _newest_first(item_seq, item_seq_len)
        is_real = item_seq > 0
        items = self.item_embedding(item_seq) * is_real[..., None]
        mean = items.sum(dim=1, keepdim=True) / item_seq_len[:, None, None]
        x = self.sess_dropout(torch.cat([mean, items], dim=1))
        is_real = F.pad(is_real, (1, 0), value=True)

        count = (item_seq[:, :, None] == item_seq[:, None, :]).sum(dim=-1)  # (B, n)
        count = F.pad(count, (1, 0), value=1).clamp_max(self.max_repeat) * is_real
        position = self.position_embedding.weight[: x.size(1)]
        s = self.dropout(self.LayerNorm(x + position + self.repeat_embedding(count)))
        s = encode_both_ways(self.trm_encoder, s, is_real)

        gate = self.highway(torch.cat([x, s], dim=-1)).sigmoid()
        r = gate * x + (1 - gate) * s
        scores = self.importance(torch.cat([r[:, :1].expand_as(r), r], dim=-1)).squeeze(-1)
        a = entmax(scores.float().masked_fill(~is_real, float("-inf")), self.entmax_alpha)
        return F.normalize(r, dim=-1), a

    def _scores(self, u: Tensor, a: Tensor, table: Tensor) -> Tensor:
        """Scores (c, V) of items with unit vectors `table` (V, d)."""
        kept = a > 0
        cosine = u @ table.t()  # (c, 1 + n, V)
        best = cosine.masked_fill(~kept[..., None], float("-inf")).amax(dim=1)
        share = a if self.weighs else kept / kept.sum(dim=1, keepdim=True)
        mean = (share.to(u.dtype)[:, None] @ u).squeeze(1) @ table.t()
        return self.beta * best + (1 - self.beta) * mean

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Mean cross-entropy of a batch of rows."""
        u, a = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        table = F.normalize(self.item_dropout(self.item_embedding.weight), dim=-1)

        def of_rows(u: Tensor, a: Tensor, target: Tensor) -> Tensor:
            scores = self._scores(u, a, table) / self.temperature
            smoothing = self.label_smoothing
            return F.cross_entropy(scores, target, reduction="none", label_smoothing=smoothing)

        target = interaction[self.POS_ITEM_ID]
        width = 2 * u.size(1) * len(table)
        return in_strips(of_rows, u, a, target, width=width).mean()

    def predict(self, interaction: Any) -> Tensor:
        """Scores (B,) of each row's item."""
        item = interaction[self.ITEM_ID]
        return self.full_sort_predict(interaction).gather(1, item[:, None]).squeeze(1)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores (B, V) of all items."""
        u, a = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        table = F.normalize(self.item_embedding.weight, dim=-1)
        width = 2 * u.size(1) * len(table)
        return in_strips(lambda u, a: self._scores(u, a, table), u, a, width=width)

    @torch.no_grad()
    def explain(self, interaction: Any, n_items: int) -> list[list[Intent]]:
        """The most important intents of each session, with the nearest items of the session.

        The weight of an intent is a; nearness is the cosine to the item vectors, as in the scores.
        """
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        u, a = self.forward(item_seq, length)
        items = F.normalize(self.item_embedding(item_seq), dim=-1)
        cosine = u @ items.transpose(1, 2)  # (B, 1 + n, n)
        weight, place = a.topk(min(_EXPLAINED, a.size(1)))
        return [
            [
                Intent(w, items=nearest_items(cosine[b, t], row, n_items))
                for w, t in zip(weight[b].tolist(), place[b].tolist(), strict=True)
                if w > 0
            ]
            for b, row in enumerate(item_seq)
        ]


def _newest_first(item_seq: Tensor, length: Tensor) -> Tensor:
    """Right-padded histories (B, n) of length (B,) with their real items in reverse order."""
    column = length[:, None] - 1 - torch.arange(item_seq.size(1), device=item_seq.device)
    return item_seq.gather(1, column.clamp_min(0)) * (column >= 0)
