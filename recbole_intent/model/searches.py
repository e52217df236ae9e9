"""What a model that finds its items by a search is told before it searches."""

from abc import ABC, abstractmethod

from recbole.data.interaction import Interaction
from torch import Tensor


class SearchesItems(ABC):
    """A recommender that finds a few items instead of scoring all; put it before RecBole's class.

    Its `full_sort_predict` leaves -inf to items that it did not reach. Rankings and lists ask every
    model that derives from this class by `search` instead, so that what they leave out, such as the
    history, takes no place of what is found.
    """

    @abstractmethod
    def search(
        self, interaction: Interaction, excluded: tuple[Tensor, Tensor] | None, k: int
    ) -> Tensor:
        """Score the items that are found.

        Args:
            interaction: what `full_sort_predict` reads, B rows.
            excluded: (rows, items), two (P,) tensors of items that are not wanted, whatever their
                score; None: all are wanted.
            k: so many items of each row are wanted at least; 0: as many as are usual.

        Returns:
            (B, V), higher is better; -inf for what was not reached. Of each row k items that are
            wanted are above -inf, or all that there are.
        """
