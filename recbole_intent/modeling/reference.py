"""Support for models that RecBole computes wrongly: corrected, or as in RecBole for comparison."""

from recbole.model.abstract_recommender import AbstractRecommender
from torch import Tensor

from recbole_intent.config.registry import RECBOLE


def is_recboles(config) -> bool:
    """Whether a run requests RecBole's computation (`reference: recbole`)."""
    return "reference" in config and config["reference"] == RECBOLE


class PredictsAsItRanks(AbstractRecommender):
    """`predict` by `full_sort_predict`, for models whose two ways of scoring differ in RecBole.

    List it before RecBole's class, and set `as_recbole` in the constructor: True keeps RecBole's.
    """

    as_recbole: bool

    def predict(self, interaction) -> Tensor:
        """Scores (B,) of each row's item."""
        if self.as_recbole:
            return super().predict(interaction)
        item = interaction[self.ITEM_ID]
        scores = self.full_sort_predict(interaction).view(len(item), -1)
        return scores.gather(1, item[:, None].to(scores.device)).squeeze(1)
