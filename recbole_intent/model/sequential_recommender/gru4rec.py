"""RecBole's GRU4Rec, trained on shared prefixes."""

from recbole.model.sequential_recommender import GRU4Rec as RecBoleGRU4Rec

from recbole_intent.model.next_item import NextItemMixin


class GRU4Rec(NextItemMixin, RecBoleGRU4Rec):
    """RecBole's `GRU4Rec` (Tan et al., 2016), weight for weight, that accepts shared batches."""
