"""Interfaces of models that explain their recommendations by intents."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from recbole.data.interaction import Interaction
from torch import Tensor


@dataclass(frozen=True)
class Intent:
    """One intent behind the recommendations for one history.

    Attributes:
        weight: its share in the decision, 0 .. 1.
        text: the intent in words; None if the model's intents are only vectors.
        items: (item, cosine) of the nearest items of the history, nearest first; empty if the
            model defines no such distance.
    """

    weight: float
    text: str | None = None
    items: tuple[tuple[int, float], ...] = ()


class ExplainsIntents(ABC):
    """A recommender that explains scores by intents; list it before RecBole's class.

    `recommend --explain` works with every model that derives from this class, and no other.
    """

    @abstractmethod
    def explain(self, interaction: Interaction, n_items: int) -> list[list[Intent]]:
        """The intents of each row, in eval mode and without gradients.

        Args:
            interaction: B rows, as for `full_sort_predict`, on the model's device.
            n_items: maximum number of history items per intent.

        Returns:
            B lists of intents, each in the model's own order.

        Raises:
            UserError: the configuration leaves the model without intents.
        """


class HasIntentSpace(ExplainsIntents):
    """A model whose intents have words and share a space with histories.

    `recommend --explain --picture=FILE` draws it.

    Attributes:
        intents: C texts.
    """

    intents: list[str]

    @abstractmethod
    def intent_space(self, item_seq: Tensor, item_seq_len: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Positions of histories (B, n) of length (B,) among the intents, without gradients.

        Returns:
            Keys (C, d) of the intents, queries (B, d) of the histories, and the probability of
            each intent for each history (B, C), which depends on their products.

        Raises:
            UserError: the configuration leaves the model without intents.
        """


def nearest_items(cosine: Tensor, items: Tensor, n_items: int) -> tuple[tuple[int, float], ...]:
    """Up to `n_items` distinct items (n,), without padding, with the largest `cosine` (n,)."""
    of_item = {i: c for i, c in zip(items.tolist(), cosine.tolist(), strict=True) if i}
    return tuple(sorted(of_item.items(), key=lambda pair: (-pair[1], pair[0]))[:n_items])
