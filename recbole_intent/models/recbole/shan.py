"""RecBole's SHAN, with the same short-term items in ranking as in training."""

import torch
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender.shan import SHAN as RecBoleSHAN
from torch import Tensor

from recbole_intent.modeling.reference import PredictsAsItRanks, is_recboles


class SHAN(PredictsAsItRanks, RecBoleSHAN):
    """Long-term attention over the history, then over it and the last items (Ying et al., 2018).

    RecBole trains on left-padded histories and ranks with right-padded ones, whose last columns,
    its short-term items, are padding.

    Args:
        config: RecBole's, and `reference`: `ours`, or `recbole` for RecBole's ranking.
        dataset: the training split.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.as_recbole = is_recboles(config)

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores (B, V) of all items."""
        if self.as_recbole:
            return super().full_sort_predict(interaction)
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        n = item_seq.size(1)
        column = (torch.arange(n, device=item_seq.device) + length[:, None]) % n
        left_padded = item_seq.gather(1, column)
        columns = {self.ITEM_SEQ: left_padded, self.USER_ID: interaction[self.USER_ID]}
        return super().full_sort_predict(Interaction(columns))
