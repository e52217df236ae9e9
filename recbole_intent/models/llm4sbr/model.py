"""LLM4SBR: SR-GNN whose long-term and short-term vectors agree with texts."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.sequential_recommender.srgnn import SRGNN
from torch import Tensor, nn

from recbole_intent.modeling.explain import ExplainsIntents, Intent
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.models.llm4sbr.texts import ALL, item_texts, session_intents
from recbole_intent.nn.session_graph import transitions
from recbole_intent.utils.errors import UserError

_EXPLAINED = 5  # number of intents that `explain` lists per session


class LLM4SBR(NextItemMixin, ExplainsIntents, SRGNN):
    """Multi-view Intent Learning and Alignment with Large Language Models (Qiao et al., TOIS 2025).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d | | sessions of a batch, items of a session, width: `embedding_size` |
    | s | (B, n, d) | SR-GNN's item states: gated graph layers (`step`) over the session's graph |
    | h | (B, d) | short-term vector: the state of the last item |
    | a | (B, d) | long-term vector: soft attention over s, with h as its query |
    | z | D | text vectors of items and of intents, frozen |
    | t_l, t_s | (B, d) | W z_l + b, W z_s + b: long-term and short-term text of a session |
    | u | (B, d) | linear of [g_l(a + t_l) a ; g_s(h + t_s) h]; a score is u . e_item |

    A gate g is a learned linear function of the sigmoid of its argument, one number per session.
    Loss: cross-entropy over all items + `text_weight` * (AU(a, t_l) + AU(h, t_s)), with the
    alignment and uniformity of unit vectors x, y: mean ‖x - y‖² + ½ (log mean exp(-2 ‖x_i - x_j‖²)
    + the same of y).

    `session_texts: train` (default): texts are the intents that `enrich intents` found in training
    sessions: z_l is the mean of a session's intents, z_s the one nearest to its latest item. They
    teach by the alignment alone, and the gates read a and h without them, so that sessions without
    texts are ranked as they are trained. `all`: as in the release, the gates read texts, of test
    sessions too. These are texts of the items of the history so far: z_l is their mean, z_s that of
    the last item. No language model sees a test session.

    Deviations from the released code: texts, as above (there: inferred for every prefix of every
    session, and mapped to an item's title); no attention to padding; the learning rate does not
    fall by a factor of 10 every third epoch; epochs are chosen on validation sessions (there: on
    test), and MRR and NDCG are means over all sessions (there: hits below k are left out).

    Raises:
        UserError: files of texts are missing or do not fit.
    """

    z: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        d = config["embedding_size"]
        self.text_weight = float(config["text_weight"])
        self.reads_all = config["session_texts"] == ALL
        self.loss_names = ("rec", "text") if self.text_weight else ("rec",)
        self.intents: list[str] = []
        self.long_gate, self.short_gate = nn.Linear(d, 1), nn.Linear(d, 1)
        if self.reads_all or self.text_weight:
            z = item_texts(config, dataset)
            self.register_buffer("z", z, persistent=False)
            self.text = nn.Linear(z.size(1), d)
            if not self.reads_all:
                self.intents, self.of_sessions = session_intents(config, dataset, z.size(1))
        self._reset_parameters()

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """A session's graph includes all of its items."""
        return False

    def views(self, item_seq: Tensor, item_seq_len: Tensor) -> tuple[Tensor, Tensor]:
        """a and h (B, d) of sessions (B, n) of length (B,)."""
        first, graph = session_graph(item_seq)
        states = self.gnn(graph, self.item_embedding(item_seq))
        s = states.gather(1, first[..., None].expand_as(states))
        h = self.gather_indexes(s, item_seq_len - 1)
        score = self.linear_three((self.linear_one(h)[:, None] + self.linear_two(s)).sigmoid())
        share = score.masked_fill((item_seq == 0)[..., None], float("-inf")).softmax(dim=1)
        return (share * s).sum(dim=1), h

    def history_texts(self, item_seq: Tensor, item_seq_len: Tensor) -> tuple[Tensor, Tensor]:
        """t_l and t_s (B, d) of the items of each history."""
        each = self.z[item_seq]  # row 0, padding, is zero
        long = F.normalize(each.sum(dim=1), dim=1)
        return self.text(long), self.text(self.gather_indexes(each, item_seq_len - 1))

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """u (B, d)."""
        a, h = self.views(item_seq, item_seq_len)
        texts = self.history_texts(item_seq, item_seq_len) if self.reads_all else None
        return self._mixed(a, h, texts)

    def _mixed(self, a: Tensor, h: Tensor, texts: tuple[Tensor, Tensor] | None) -> Tensor:
        long, short = (a, h) if texts is None else (a + texts[0], h + texts[1])
        a, h = a * self.long_gate(long.sigmoid()), h * self.short_gate(short.sigmoid())
        return self.linear_transform(torch.cat([a, h], dim=1))

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`."""
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        a, h = self.views(item_seq, length)
        texts = self.history_texts(item_seq, length) if self.reads_all else None
        loss = self.cross_entropy(self._mixed(a, h, texts), interaction[self.POS_ITEM_ID])
        if not self.text_weight:
            return (loss,)
        if texts is None:
            latest = self.z[item_seq.gather(1, length[:, None] - 1).squeeze(1)]
            z_long, z_short, known = self.of_sessions(interaction[self.USER_ID], latest)
            texts = self.text(z_long[known]), self.text(z_short[known])
            a, h = a[known], h[known]
        text = aligned_and_uniform(a, texts[0]) + aligned_and_uniform(h, texts[1])
        return loss, self.text_weight * text

    @torch.no_grad()
    def explain(self, interaction: Any, n_items: int) -> list[list[Intent]]:
        """The intents of the pool nearest to each session's long-term vector.

        The weight is the cosine of a to the intent's projected text, 0 if it is negative: what the
        alignment makes large. No items are listed: nothing relates them to single intents.

        Raises:
            UserError: `session_texts: all`, or no alignment: there are no intents in words.
        """
        if not self.intents:
            raise UserError(
                "--explain: this LLM4SBR has no intents in words (session_texts: train, with a "
                "text_weight above 0, has)"
            )
        a, _ = self.views(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        of_pool = F.normalize(self.text(self.of_sessions.vectors), dim=1)
        cosine = F.normalize(a, dim=1) @ of_pool.T
        weight, number = cosine.topk(min(_EXPLAINED, len(self.intents)))
        return [
            [Intent(max(0.0, w), self.intents[c]) for w, c in zip(*row, strict=True)]
            for row in zip(weight.tolist(), number.tolist(), strict=True)
        ]


def session_graph(item_seq: Tensor) -> tuple[Tensor, Tensor]:
    """The graph of each session's distinct items, whose nodes are their first places.

    Args:
        item_seq: (B, n), right-padded with 0.

    Returns:
        (B, n) the node of each place, and (B, n, 2 n): in row i, the shares 1 / in-degree of the
        nodes that precede node i, then 1 / out-degree of those that follow it.

    Source: Wu et al., "Session-based Recommendation with Graph Neural Networks", AAAI 2019, 3.2.
    """
    first, follows = transitions(item_seq)
    follows = follows.float()
    before = follows.transpose(1, 2)
    shares = [edges / edges.sum(dim=2, keepdim=True).clamp_min(1) for edges in (before, follows)]
    return first, torch.cat(shares, dim=2)


def aligned_and_uniform(x: Tensor, y: Tensor) -> Tensor:
    """Alignment of rows of x and y (B, d) and half the uniformity of each; 0 without rows.

    Source: Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", ICML 2020, with exponent 2 and t = 2.
    """
    if len(x) == 0:
        return x.sum() + y.sum()
    x, y = F.normalize(x, dim=1), F.normalize(y, dim=1)
    aligned = (x - y).square().sum(dim=1).mean()
    if len(x) == 1:
        return aligned
    return aligned + (_uniformity(x) + _uniformity(y)) / 2


def _uniformity(x: Tensor) -> Tensor:
    n = len(x)
    i, j = torch.triu_indices(n, n, 1, device=x.device)
    # ‖x_i - x_j‖² = 2 - 2 x_i . x_j of unit vectors
    return (4 * (x @ x.T)[i, j] - 4).logsumexp(dim=0) - math.log(len(i))
