"""Interface of models that search for items instead of scoring all of them."""

from abc import ABC, abstractmethod

from recbole.data.interaction import Interaction
from torch import Tensor


class SearchesItems(ABC):
    """A recommender that searches for items instead of scoring all; list it before RecBole's class.

    Its `full_sort_predict` gives -inf to items that it did not reach. For models that derive from
    this class, rankings and lists call `search` instead, so that excluded items, such as the
    history, do not take up places in the result.
    """

    @abstractmethod
    def search(
        self, interaction: Interaction, excluded: tuple[Tensor, Tensor] | None, k: int
    ) -> Tensor:
        """Score the items that the search reaches.

        Args:
            interaction: input of `full_sort_predict`, B rows.
            excluded: (rows, items), two (P,) tensors of items to exclude, whatever their score;
                None: all are allowed.
            k: minimum number of items per row; 0: the usual number.

        Returns:
            (B, V), higher is better; -inf for items not reached. In each row at least k allowed
            items, or all that exist, are above -inf.
        """
