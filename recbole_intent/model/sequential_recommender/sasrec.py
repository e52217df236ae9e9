"""RecBole's SASRec, trained on shared prefixes."""

from recbole.model.sequential_recommender import SASRec as RecBoleSASRec

from recbole_intent.model.next_item import NextItemMixin


class SASRec(NextItemMixin, RecBoleSASRec):
    """RecBole's `SASRec` (Kang and McAuley, 2018), weight for weight, that accepts shared batches.

    Its attention is causal and padding stands on the right, so that the state at position t is
    that of a row which ends there.
    """
