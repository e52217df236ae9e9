"""RecBole's CORE, whose two ways of scoring agree."""

from recbole.model.sequential_recommender.core import CORE as RecBoleCORE

from recbole_intent.model.reference import PredictsAsItRanks, is_recboles


class CORE(PredictsAsItRanks, RecBoleCORE):
    """Cosine of session and item, over a temperature (Hou et al., 2022, equation 9).

    RecBole's `predict` leaves the item's vector unnormalised; `full_sort_predict` does not.

    Args:
        config: RecBole's, and `reference`: ours, or recbole for RecBole's `predict`.
        dataset: the training split.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.as_recbole = is_recboles(config)
