"""RecBole's Pop with corrected counts."""

import torch
from recbole.model.general_recommender.pop import Pop as RecBolePop
from torch import Tensor

from recbole_intent.modeling.reference import is_recboles


class Pop(RecBolePop):
    """Scores items by their number of training interactions, divided by the largest.

    RecBole counts in `calculate_loss`, where repeated items in a batch count once and sampled
    negatives are counted too, so its result depends on `train_batch_size` and on the seed. Here
    the counts are read from the training split.

    Args:
        config: with `reference`: `ours`, or `recbole` for RecBole's counts.
        dataset: the training split.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.as_recbole = is_recboles(config)
        if not self.as_recbole:
            items = dataset.inter_feat[self.ITEM_ID]
            counts = torch.bincount(items, minlength=self.n_items)
            self.item_cnt = counts[:, None].to(self.device)  # (V, 1)
            self.max_cnt = self.item_cnt.max(dim=0).values

    def calculate_loss(self, interaction) -> Tensor:
        """Zero: nothing is learned."""
        return super().calculate_loss(interaction) if self.as_recbole else 0 * self.fake_loss.sum()
