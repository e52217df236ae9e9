"""Scores of a few given items for each row: the direct task."""

from abc import ABC, abstractmethod

import torch
from recbole.data.interaction import Interaction
from torch import Tensor, nn

# Pairs scored at once by a model that scores pairs only.
_PAIRS = 2**14


class ScoresCandidates(ABC):
    """A recommender with a way of its own to score given items; put it before RecBole's class.

    The direct task asks every model that derives from this class by it, and other models by
    `full_sort_predict`.
    """

    @abstractmethod
    def score_candidates(self, interaction: Interaction, candidates: Tensor) -> Tensor:
        """Score each row's candidates.

        Args:
            interaction: what `full_sort_predict` reads, B rows.
            candidates: (B, C) items, different within a row and in no telling order.

        Returns:
            (B, C), higher is better; -inf for what the model would never name.
        """


def candidate_scores(
    model: nn.Module, interaction: Interaction, candidates: Tensor, n_items: int, item_field: str
) -> Tensor:
    """Scores (B, C) of candidates (B, C) by any RecBole recommender.

    Args:
        model: the recommender.
        interaction: B rows.
        candidates: (B, C) items.
        n_items: V, of the dataset, padding included.
        item_field: name of the column of items.
    """
    if isinstance(model, ScoresCandidates):
        return model.score_candidates(interaction, candidates)
    try:
        scores = model.full_sort_predict(interaction).view(-1, n_items)
    except NotImplementedError:
        return pair_scores(model, interaction, candidates, item_field)
    return scores.gather(1, candidates.to(scores.device))  # EASE scores on the CPU always


def pair_scores(
    model: nn.Module, interaction: Interaction, items: Tensor, item_field: str
) -> Tensor:
    """As `candidate_scores`, by `predict` of each pair: some RecBole models know no other way."""
    n_rows, n_candidates = items.shape
    found = []
    for rows in torch.arange(n_rows).split(max(1, _PAIRS // n_candidates)):
        pairs = interaction[rows].repeat_interleave(n_candidates)
        pairs.update(Interaction({item_field: items[rows].flatten()}))
        found.append(model.predict(pairs).view(len(rows), n_candidates))
    return torch.cat(found)
