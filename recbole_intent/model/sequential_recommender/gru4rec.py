"""RecBole's GRU4Rec, trained on shared prefixes."""

from recbole.model.sequential_recommender import GRU4Rec as RecBoleGRU4Rec
from torch import Tensor

from recbole_intent.model.distilled_start import DistilledStart


class GRU4Rec(DistilledStart, RecBoleGRU4Rec):
    """RecBole's `GRU4Rec` (Tan et al., 2016), weight for weight, that accepts shared batches.

    `item_init: distiller` starts its items as IGR-SR's do.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.prepare_start(config)

    def encode(self, x: Tensor, item_seq_len: Tensor) -> Tensor:
        """As `forward`, from the vectors (B, n, d) of the items, whatever they are made of."""
        states, _ = self.gru_layers(self.emb_dropout(x))
        return self.gather_indexes(self.dense(states), item_seq_len - 1)
