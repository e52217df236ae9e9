"""Scoring of given candidates for each row: the direct task."""

from abc import ABC, abstractmethod

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender
from torch import Tensor

# Number of pairs per call for models that only score pairs.
_PAIRS = 2**14


class ScoresCandidates(ABC):
    """A recommender with its own method for scoring candidates; list it before RecBole's class.

    The direct task calls it for every model that derives from this class, and `full_sort_predict`
    for other models.
    """

    @abstractmethod
    def score_candidates(self, interaction: Interaction, candidates: Tensor) -> Tensor:
        """Score each row's candidates.

        Args:
            interaction: input of `full_sort_predict`, B rows.
            candidates: (B, C) items, distinct within a row, in an order that reveals nothing.

        Returns:
            (B, C), higher is better; -inf for items that the model would never recommend.
        """


def candidate_scores(
    model: AbstractRecommender,
    interaction: Interaction,
    candidates: Tensor,
    n_items: int,
    item_field: str,
) -> Tensor:
    """Scores (B, C) of candidates (B, C) from any RecBole recommender.

    Args:
        model: the recommender.
        interaction: B rows.
        candidates: (B, C) items.
        n_items: V, the dataset's number of items, padding included.
        item_field: name of the item column.
    """
    if isinstance(model, ScoresCandidates):
        return model.score_candidates(interaction, candidates)
    try:
        scores = model.full_sort_predict(interaction).view(-1, n_items)
    except NotImplementedError:
        return pair_scores(model, interaction, candidates, item_field)
    return scores.gather(1, candidates.to(scores.device))  # EASE always scores on the CPU


def pair_scores(
    model: AbstractRecommender, interaction: Interaction, items: Tensor, item_field: str
) -> Tensor:
    """`candidate_scores` by `predict` on each pair, for RecBole models that only score pairs."""
    n_rows, n_candidates = items.shape
    scores = []
    for rows in torch.arange(n_rows).split(max(1, _PAIRS // n_candidates)):
        pairs = interaction[rows].repeat_interleave(n_candidates)
        pairs.update(Interaction({item_field: items[rows].flatten()}))
        scores.append(model.predict(pairs).view(len(rows), n_candidates))
    return torch.cat(scores)
