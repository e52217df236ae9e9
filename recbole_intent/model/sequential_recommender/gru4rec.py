"""RecBole's GRU4Rec, trained on shared prefixes."""

from recbole.model.sequential_recommender import GRU4Rec as RecBoleGRU4Rec
from torch import Tensor

from recbole_intent.model.next_item import NextItemMixin


class GRU4Rec(NextItemMixin, RecBoleGRU4Rec):
    """RecBole's `GRU4Rec` (Tan et al., 2016), weight for weight, that accepts shared batches."""

    def encode(self, x: Tensor, item_seq_len: Tensor) -> Tensor:
        """As `forward`, from the vectors (B, n, d) of the items, whatever they are made of."""
        states, _ = self.gru_layers(self.emb_dropout(x))
        return self.gather_indexes(self.dense(states), item_seq_len - 1)
