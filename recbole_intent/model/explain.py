"""What a model with intents can say about its decision."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from recbole.data.interaction import Interaction
from torch import Tensor


@dataclass(frozen=True)
class Intent:
    """One intent behind the recommendations for one history.

    Attributes:
        weight: its share in the decision, 0 .. 1.
        text: the intent in words; None where the model's intents are vectors alone.
        items: (item, cosine) of the items of the history that are nearest to it, nearest first;
            empty where the model knows no such distance.
    """

    weight: float
    text: str | None = None
    items: tuple[tuple[int, float], ...] = ()


class ExplainsIntents(ABC):
    """A recommender that tells the intents behind its scores; put it before RecBole's class.

    `recommend --explain` asks every model that derives from this class, and no other.
    """

    @abstractmethod
    def explain(self, interaction: Interaction, n_items: int) -> list[list[Intent]]:
        """The intents of each row, in eval mode and without gradients.

        Args:
            interaction: B rows, as for `full_sort_predict`, on the model's device.
            n_items: at most so many items of the history an intent.

        Returns:
            B lists of intents, each in the model's own order of intents.

        Raises:
            UserError: under its configuration the model has no intents.
        """


class HasIntentSpace(ExplainsIntents):
    """One whose intents have words and lie in one space with histories.

    `recommend --explain --picture=FILE` draws it.

    Attributes:
        intents: C texts.
    """

    intents: list[str]

    @abstractmethod
    def intent_space(self, item_seq: Tensor, item_seq_len: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where histories (B, n) of length (B,) lie among the intents, without gradients.

        Returns:
            Keys (C, d) of the intents, queries (B, d) of the histories, and how probable each
            intent is for each history (B, C), which their products decide.

        Raises:
            UserError: under its configuration the model has no intents.
        """


def nearest_items(cosine: Tensor, items: Tensor, n_items: int) -> tuple[tuple[int, float], ...]:
    """The at most `n_items` distinct items (n,), without padding, of largest `cosine` (n,)."""
    of_item = {i: c for i, c in zip(items.tolist(), cosine.tolist(), strict=True) if i}
    return tuple(sorted(of_item.items(), key=lambda pair: (-pair[1], pair[0]))[:n_items])
