"""Models that RecBole computes wrongly: ours are right, and keep RecBole's way for comparison."""

from torch import Tensor

from recbole_intent.registry import RECBOLE


def is_recboles(config) -> bool:
    """Whether a run asks for what RecBole computes (`reference: recbole`)."""
    return "reference" in config and config["reference"] == RECBOLE


class PredictsAsItRanks:
    """`predict` by `full_sort_predict`, for models whose two ways of scoring differ in RecBole.

    Put it before RecBole's class, and set `as_recbole` in the constructor: True keeps RecBole's.
    """

    as_recbole: bool

    def predict(self, interaction) -> Tensor:
        """Scores (B,) of the one item that each row names."""
        if self.as_recbole:
            return super().predict(interaction)
        item = interaction[self.ITEM_ID]
        scores = self.full_sort_predict(interaction).view(len(item), -1)
        return scores.gather(1, item[:, None].to(scores.device)).squeeze(1)
