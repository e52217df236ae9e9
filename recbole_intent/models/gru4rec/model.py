"""RecBole's GRU4Rec, trained on shared prefixes."""

from recbole.model.sequential_recommender import GRU4Rec as RecBoleGRU4Rec
from torch import Tensor

from recbole_intent.models.distilled.start import DistilledStart


class GRU4Rec(DistilledStart, RecBoleGRU4Rec):
    """RecBole's `GRU4Rec` (Tan et al., 2016) with the same weights, trainable on shared batches.

    `item_init: distiller` initialises its items as in IGR-SR.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.prepare_start(config)
        self.prepare_softmax(config, dataset)

    def encode(self, x: Tensor, item_seq_len: Tensor) -> Tensor:
        """As `forward`, from item vectors (B, n, d) of any source."""
        states, _ = self.gru_layers(self.emb_dropout(x))
        return self.gather_indexes(self.dense(states), item_seq_len - 1)
