"""RecBole's CORE with consistent scores in `predict` and `full_sort_predict`."""

from recbole.model.sequential_recommender.core import CORE as RecBoleCORE

from recbole_intent.modeling.reference import PredictsAsItRanks, is_recboles


class CORE(PredictsAsItRanks, RecBoleCORE):
    """Cosine of session and item, divided by a temperature (Hou et al., 2022, equation 9).

    RecBole's `predict` does not normalise the item's vector; `full_sort_predict` does.

    Args:
        config: RecBole's, and `reference`: `ours`, or `recbole` for RecBole's `predict`.
        dataset: the training split.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.as_recbole = is_recboles(config)
