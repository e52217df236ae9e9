"""CaFe: an encoder of categories beside an encoder of items."""

from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor

from recbole_intent.data.loading.categories import read_categories
from recbole_intent.modeling.explain import HasIntentSpace, Intent, nearest_items
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.models.backbones import CAUSAL, make_backbone
from recbole_intent.nn.losses import (
    linear_cross_entropy,
    random_others,
    sampled_binary_cross_entropy,
)

_EXPLAINED = 5  # number of categories that `explain` lists per history


class CaFe(NextItemMixin, HasIntentSpace, SequentialRecommender):
    """Coarse-to-Fine Sparse Sequential Recommendation (Li et al., SIGIR 2022).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d | | histories of a batch, items of a history, width: `hidden_size` |
    | E, G | (V, d), (K, d) | item table, category table; row 0 is padding |
    | g(i) | (V,) | the category of an item (`category`, `category_column`) |
    | c | (B, d) | the intent encoder over G[g(i_1)] .. G[g(i_n)] |
    | h | (B, d) | the item encoder over E[i_1] .. E[i_n], plus c |

    Score of item i: h . E_i + c . G_g(i). Loss: next item by h . E + `category_weight` * next
    category by c . G, each the binary cross-entropy against one random other
    (`next_item_loss: BCE`), or a softmax over all of them (`CE`, ours).

    Categories are the intents: `recommend --explain` lists the most probable next ones.

    Deviations from the released code: both encoders are RecBole's (`backbone`: post-norm layers,
    LayerNorm on the input, items not scaled by √d); without local attention heads, which the
    authors' script does not use; negatives may be other items, or categories, of the user's
    history; items without a category share one.

    Raises:
        UserError: no column of categories, or fewer than two of them.
    """

    input_type = InputType.POINTWISE
    category_of: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_type = config["loss_type"]
        self.next_item_loss = config["next_item_loss"]
        self.category_weight = float(config["category_weight"])
        self.loss_names = ("rec", "category") if self.category_weight else ("rec",)
        self.intents, category_of = read_categories(config, dataset, "category_column")
        self.register_buffer("category_of", torch.from_numpy(category_of), persistent=False)
        d = config["hidden_size"]
        self.item_encoder = make_backbone(config, dataset, d)
        self.category_encoder = make_backbone(config, _Counted(len(self.intents) + 1), d)

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """BERT4Rec attends in both directions, so each target needs its own row."""
        return config["backbone"] in CAUSAL

    @property
    def items(self) -> Tensor:
        """E (V, d)."""
        return self.item_encoder.item_embedding.weight[: self.n_items]  # BERT4Rec adds its mask

    @property
    def categories(self) -> Tensor:
        """G (K + 1, d)."""
        return self.category_encoder.item_embedding.weight[: len(self.intents) + 1]

    def item_table(self) -> Tensor:
        """[E ; G of each item's category] (V, 2 d)."""
        return torch.cat([self.items, self.categories[self.category_of]], dim=1)

    def intent_vectors(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """c (B, d) of histories (B, n) of length (B,), or (B, T, d) at lengths (B, T)."""
        x = self.category_encoder.item_embedding(self.category_of[item_seq])
        return self.category_encoder.encode(x, item_seq_len)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """[h ; c], (B, 2 d) or (B, T, 2 d)."""
        c = self.intent_vectors(item_seq, item_seq_len)
        x = self.item_encoder.item_embedding(item_seq)
        return torch.cat([self.item_encoder.encode(x, item_seq_len) + c, c], dim=-1)

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`; each is a mean over the batch's targets."""
        vectors, target = self.encode_targets(interaction)
        h, c = vectors.chunk(2, dim=1)
        losses = [self._next(h, self.items, target)]
        if self.category_weight:
            loss = self._next(c, self.categories, self.category_of[target])
            losses.append(self.category_weight * loss)
        return tuple(losses)

    def _next(self, hidden: Tensor, table: Tensor, target: Tensor) -> Tensor:
        if self.next_item_loss == "CE":
            return linear_cross_entropy(hidden, table, target, label_smoothing=self.label_smoothing)
        negatives = random_others(target, len(table))
        return sampled_binary_cross_entropy(hidden, table, target, negatives)

    @torch.no_grad()
    def explain(self, interaction: Any, n_items: int) -> list[list[Intent]]:
        """The most probable next categories, with the history's items nearest to each.

        The weight is the softmax of c . G over the categories; nearness is the cosine of an item's
        category to that category, 1 for its own.
        """
        item_seq = interaction[self.ITEM_SEQ]
        _, _, share = self.intent_space(item_seq, interaction[self.ITEM_SEQ_LEN])
        weight, number = share.topk(min(_EXPLAINED, len(self.intents)))
        unit = F.normalize(self.categories, dim=1)
        of_items = unit[self.category_of[item_seq]]  # (B, n, d)
        cosine = unit[number + 1] @ of_items.transpose(1, 2)  # (B, 5, n)
        return [
            [
                Intent(w, self.intents[k], nearest_items(near, row, n_items))
                for w, k, near in zip(weights, numbers, cosines, strict=True)
            ]
            for weights, numbers, cosines, row in zip(
                weight.tolist(), number.tolist(), cosine, item_seq, strict=True
            )
        ]

    @torch.no_grad()
    def intent_space(self, item_seq: Tensor, item_seq_len: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """G (K, d), c (B, d), and the softmax of their products (B, K)."""
        c, keys = self.intent_vectors(item_seq, item_seq_len), self.categories[1:]
        return keys, c, (c @ keys.T).softmax(dim=1)


class _Counted:
    """What RecBole's sequential models ask a dataset for: the number of its items."""

    def __init__(self, number: int) -> None:
        self.number = number

    def num(self, field: str) -> int:
        """The number, padding included."""
        return self.number
