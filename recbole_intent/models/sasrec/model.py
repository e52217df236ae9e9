"""RecBole's SASRec, made faster and trained on shared prefixes."""

from recbole.model.sequential_recommender import SASRec as RecBoleSASRec
from torch import Tensor

from recbole_intent.models.distilled.start import DistilledStart
from recbole_intent.nn.positions import START, position_vectors
from recbole_intent.nn.sasrec_layers import encode_causal, use_fast_dropout


class SASRec(DistilledStart, RecBoleSASRec):
    """RecBole's `SASRec` (Kang and McAuley, 2018) with the same weights, for shared batches too.

    Its attention is causal and histories are right-padded, so the state at position t equals that
    of a row that ends there. A state dict of either class loads into the other.
    `item_init: distiller` initialises its items as in IGR-SR. `positions: end` counts positions
    from the last item; on shared batches from the last item of the pass, as in RecTools' SASRec.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        use_fast_dropout(self)
        self.prepare_start(config)
        self.prepare_softmax(config, dataset)
        self.origin = config["positions"] if "positions" in config else START  # noqa: SIM401

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """User vectors (B, d) at lengths (B,), or (B, T, d) at lengths (B, T)."""
        return self.encode(self.item_embedding(item_seq), item_seq_len)

    def encode(self, x: Tensor, item_seq_len: Tensor) -> Tensor:
        """As `forward`, from item vectors (B, n, d) of any source."""
        table = self.position_embedding.weight
        position = position_vectors(table, item_seq_len, x.size(1), self.origin)
        x = self.dropout(self.LayerNorm(x + position))
        if item_seq_len.dim() == 1:
            return encode_causal(self.trm_encoder, x, item_seq_len - 1)
        return self.gather_indexes(encode_causal(self.trm_encoder, x), item_seq_len - 1)
