"""RecBole's HGN with a pairwise loss that scores positives and negatives consistently."""

from recbole.model.sequential_recommender.hgn import HGN as RecBoleHGN
from torch import Tensor

from recbole_intent.modeling.reference import is_recboles


class HGN(RecBoleHGN):
    """Hierarchical gating network (Ma et al., 2019).

    With `loss_type: BPR`, the paper's loss, RecBole takes positive items from the output table and
    negative ones from the input table; here all scores use the output table.

    Args:
        config: RecBole's, and `reference`: `ours`, or `recbole` for RecBole's loss.
        dataset: the training split.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.as_recbole = is_recboles(config)

    def calculate_loss(self, interaction) -> Tensor:
        """BPR or cross-entropy of a batch, with RecBole's penalties."""
        if self.as_recbole or self.loss_type != "BPR":
            return super().calculate_loss(interaction)
        item_seq, user = interaction[self.ITEM_SEQ], interaction[self.USER_ID]
        hidden = self.forward(item_seq, user)  # (B, d)
        positive, negative = (
            self.item_embedding_for_prediction(interaction[name])
            for name in (self.POS_ITEM_ID, self.NEG_ITEM_ID)
        )
        loss = self.loss_fct((hidden * positive).sum(dim=-1), (hidden * negative).sum(dim=-1))
        read = (self.user_embedding(user), positive, self.item_embedding(item_seq))
        return loss + self.reg_loss(*read)
