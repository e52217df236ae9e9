"""RecBole's FISM, with one sigmoid in its loss instead of two."""

import torch
from recbole.model.general_recommender.fism import FISM as RecBoleFISM
from torch import Tensor

from recbole_intent.modeling.reference import PredictsAsItRanks, is_recboles


class FISM(PredictsAsItRanks, RecBoleFISM):
    """Scores items by their similarity to the user's history (Kabbur et al., 2013, equation 2).

    RecBole's `forward` ends with a sigmoid and its loss `BCEWithLogitsLoss` applies another one,
    so that training probabilities stay between .5 and .73 and `predict` differs from
    `full_sort_predict`, which has no sigmoid.

    Args:
        config: with `embedding_size`, `alpha`, `reg_weights`, `split_to`, and `reference`: `ours`,
            or `recbole` for RecBole's loss.
        dataset: the training split.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.as_recbole = is_recboles(config)

    def inter_forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Logits (B,) of pairs."""
        if self.as_recbole:
            return super().inter_forward(user, item)
        history = self.item_src_embedding(self.history_item_matrix[user])  # (B, n, d)
        similarity = (history @ self.item_dst_embedding(item)[:, :, None]).squeeze(2)
        weight = torch.pow(self.history_lens[user].float(), -self.alpha)
        summed = (self.mask_mat[user] * similarity).sum(dim=1)
        return weight * summed + self.user_bias[user] + self.item_bias[item]
