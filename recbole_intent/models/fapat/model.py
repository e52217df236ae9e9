"""FAPAT: sessions as graphs of items and attributes, with frequent attribute patterns as memory."""

import logging
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_intent.data.loading.categories import read_categories
from recbole_intent.data.loading.training_interactions import training_histories
from recbole_intent.modeling.explain import ExplainsIntents, Intent, nearest_items
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.models.fapat.patterns import PatternSizes, mine_patterns
from recbole_intent.models.fapat.view import View, ViewGate
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.nn.initialization import init_normal
from recbole_intent.nn.sasrec_layers import attend, finish, project, transformer_encoder

_EXPLAINED = 5  # number of patterns that `explain` lists per session
_LOGGER = logging.getLogger("recbole_intent")


class FAPAT(NextItemMixin, ExplainsIntents, SequentialRecommender):
    """Session recommendation with Attribute Patterns (Liu et al., NeurIPS 2023).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d | | sessions of a batch, items of a session, width: `hidden_size` |
    | v | | views: the items, and one attribute per column of `attribute_columns` |
    | s_v | (B, n, d) | states of graph attention over the session's graph of a view |
    | x | (B, n, d) | Σ_v g_v s_v with gates g, of the strongest `gate_views` views; plus position |
    | m | (B, M, d) | memory: the patterns of each attribute that share most nodes with it |
    | o | (B, n + 1, d) | causal Transformer over x and a mask token; each layer attends to m too |
    | z | (B, d) | Σ_t α_t o_t over the items, α_t = q . σ(W_1 o_mask + W_2 o_t) |
    | u | (B, d) | W [o_mask ; z]; a score is u . e_item |

    Patterns are mined once from the training sessions alone (`patterns.py`): connected graphs of
    attributes of `pattern_min_nodes` to `pattern_max_nodes` nodes, in `pattern_min_count` sessions
    or more; those within a larger one of equal count are left out. A pattern's vector is the mean
    of its nodes' states, by the graph attention of its view. Loss: cross-entropy over all items.

    `recommend --explain` lists the patterns of the memory by the mask token's attention.

    Deviations from the released code: an attribute is one node of a session, and edges of patterns
    have no direction; patterns are ranked by shared nodes, then by count; each attribute has a
    memory of its own, without buckets of relative positions; a node has any number of neighbours;
    an item has one value per attribute (`category`); there are no tasks of next attributes.

    Raises:
        UserError: a column of attributes is missing, or has fewer than two values.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        d = config["hidden_size"]
        self.loss_type = config["loss_type"]
        self.memory_size = config["memory_size"]
        given = config["attribute_columns"]
        self.columns = ["auto"] if given == "auto" else list(given)
        self.names: list[list[str]] = []
        views = [View(d, self.n_items - 1)]
        for column in self.columns:
            names, value_of = read_categories(config, dataset, "attribute_columns", column)
            sessions = training_sessions(config, dataset, value_of)
            patterns = mine_patterns(sessions, _sizes(config))
            _LOGGER.info("FAPAT: %d patterns of %d attributes", len(patterns), len(names))
            self.names.append(names)
            self.register_buffer(
                f"value_{len(views)}", torch.from_numpy(value_of), persistent=False
            )
            views.append(View(d, len(names), patterns))
        self.views = nn.ModuleList(views)
        self.gate = ViewGate(len(views), d, config["gate_views"], config["gate_noise"])
        self.position_embedding = nn.Embedding(self.max_seq_length + 1, d)
        self.mask_token = nn.Parameter(torch.empty(d))
        self.LayerNorm = nn.LayerNorm(d, eps=config["layer_norm_eps"])
        self.dropout = FastDropout(config["hidden_dropout_prob"])
        self.encoder = transformer_encoder(config)
        self.of_mask, self.of_place = nn.Linear(d, d), nn.Linear(d, d, bias=False)
        self.query = nn.Linear(d, 1, bias=False)
        self.output = nn.Linear(2 * d, d)
        std = config["initializer_range"]
        nn.init.normal_(self.mask_token, std=std)
        init_normal(self, std)
        for view in self._views():
            nn.init.zeros_(view.embedding.weight.data[0])

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """A session's graphs include all of its items."""
        return False

    def _views(self) -> list[View]:
        return cast("list[View]", list(self.views))

    def item_table(self) -> Tensor:
        """E (V, d)."""
        return self._views()[0].embedding.weight

    def values(self, item_seq: Tensor) -> list[Tensor]:
        """Each view's values (B, n) of sessions (B, n)."""
        others = (getattr(self, f"value_{v}") for v in range(1, len(self.views)))
        return [item_seq, *(value_of[item_seq] for value_of in others)]

    def memory(self, values: list[Tensor]) -> tuple[Tensor, Tensor]:
        """m (B, M, d) and whether each is a match (B, M), of all attributes one after another."""
        vectors, matches = [], []
        for view, of_view in zip(self._views()[1:], values[1:], strict=True):
            number, is_match = view.matched(of_view, self.memory_size)
            vectors.append(view.vectors(number))
            matches.append(is_match)
        return torch.cat(vectors, dim=1), torch.cat(matches, dim=1)

    def encode(
        self, item_seq: Tensor, item_seq_len: Tensor, values: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """o (B, n + 1, d), and the last layer's attention (B, M + n + 1) of the mask token."""
        n, device = item_seq.size(1) + 1, item_seq.device
        states = [view(of_view) for view, of_view in zip(self.views, values, strict=True)]
        x = F.pad(self.gate(torch.stack(states, dim=2)), (0, 0, 0, 1))
        is_mask = torch.arange(n, device=device) == item_seq_len[:, None]
        x = torch.where(is_mask[..., None], self.mask_token.to(x.dtype), x)
        x = self.dropout(self.LayerNorm(x + self.position_embedding.weight[:n]))
        m, is_match = self.memory(values)
        later = torch.ones(n, n, dtype=torch.bool, device=device).triu(1)
        hidden = torch.cat(
            [(~is_match)[:, None].expand(-1, n, -1), later.expand(len(x), -1, -1)], dim=2
        )
        mask = torch.zeros(hidden.shape, dtype=x.dtype, device=device)
        mask = mask.masked_fill_(hidden, float("-inf"))[:, None]  # (B, 1, n + 1, M + n + 1)
        for layer in self.encoder.layer:
            q, k, v = project(layer, x)
            of_memory = project(layer, m.to(x.dtype), query=False)
            k, v = (torch.cat(parts, dim=2) for parts in zip(of_memory, (k, v), strict=True))
            x = finish(layer, x, attend(layer, q, k, v, mask))
        row = torch.arange(len(x), device=device)
        logits = q[row, :, item_seq_len, None] @ k.transpose(-1, -2)  # (B, h, 1, M + n + 1)
        attention = (logits.squeeze(2) + mask[row, :, item_seq_len]).softmax(dim=-1).mean(dim=1)
        return x, attention

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """u (B, d)."""
        o, _ = self.encode(item_seq, item_seq_len, self.values(item_seq))
        of_mask, of_items = self.gather_indexes(o, item_seq_len), o[:, :-1]
        alpha = self.query((self.of_mask(of_mask)[:, None] + self.of_place(of_items)).sigmoid())
        z = (alpha * (item_seq > 0)[..., None] * of_items).sum(dim=1)
        return self.output(torch.cat([of_mask, z], dim=1))

    @torch.no_grad()
    def explain(self, interaction: Any, n_items: int) -> list[list[Intent]]:
        """The matched patterns with most attention, and the session's items nearest to each.

        The weight is the mask token's share of attention to a pattern in the last layer, the mean
        of its heads. Items are those with an attribute of the pattern, by the cosine of the
        attribute to the pattern's vector.
        """
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        values = self.values(item_seq)
        _, attention = self.encode(item_seq, length, values)
        explained: list[list[Intent]] = [[] for _ in item_seq]
        first = 0
        views = zip(self._views()[1:], values[1:], self.names, strict=True)
        for view, of_view, names in views:
            number, is_match = view.matched(of_view, self.memory_size)
            vectors, table = view.vectors(number), view.embedding.weight
            for row, column in is_match.nonzero().tolist():
                nodes = view.nodes[number[row, column]]
                nodes = nodes[nodes > 0]
                has = torch.isin(of_view[row], nodes)
                cosine = F.cosine_similarity(table[of_view[row]], vectors[row, column], dim=-1)
                items = nearest_items(cosine[has], item_seq[row][has], n_items)
                text = " – ".join(names[node - 1] for node in nodes.tolist())
                weight = attention[row, first + column].item()
                explained[row].append(Intent(weight, text, items))
            first += number.size(1)
        by_weight = (sorted(each, key=lambda intent: -intent.weight) for each in explained)
        return [each[:_EXPLAINED] for each in by_weight]


def training_sessions(config: Any, dataset: Any, value_of: np.ndarray) -> list[np.ndarray]:
    """The attributes of the items of each training session, as long as the model reads them.

    Longer histories are cut into pieces of `MAX_ITEM_LIST_LENGTH`.

    Args:
        config: configuration of the run.
        dataset: its training split.
        value_of: (V,) the attribute of each item.
    """
    histories = training_histories(config, dataset)
    number = dataset.token2id(dataset.iid_field, histories.item_ids)
    values = value_of[number][histories.items]
    longest = config["MAX_ITEM_LIST_LENGTH"]
    return [
        values[start : min(start + longest, end)]
        for first, end in zip(histories.first[:-1], histories.first[1:], strict=True)
        for start in range(first, end, longest)
    ]


def _sizes(config: Any) -> PatternSizes:
    return PatternSizes(
        config["pattern_min_nodes"],
        config["pattern_max_nodes"],
        config["pattern_min_edges"],
        config["pattern_max_edges"],
        config["pattern_min_count"],
        config["max_patterns"],
    )
