"""VELI4SBR's intent labels and hard negatives of the training sessions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

NONE, LLM, ENRICHED = 0, 1, 2  # origin of a session's labels


class SessionLabels(nn.Module):
    """Intent labels y^(t) of S training sessions over a pool of C intents, and hard negatives.

    A checkpoint contains the labels and their origin; the rest follows from the dataset.

    Args:
        user: (S,) user id of each training session, below `n_users`, all different.
        n_users: number of session ids, including those of validation and test and padding's 0.
        intents: S lists of intents, 0 .. C - 1; an empty list means no label.
        n_intents: C.
        hard_negatives: S lists of items.
        n_metadata: number of sessions whose intents do not come from a language model.

    Source: VELI4SBR, equations (10), (12), (13).
    """

    values: Tensor
    origin: Tensor
    row_of: Tensor
    hard_count: Tensor
    hard_first: Tensor
    hard_items: Tensor

    def __init__(
        self,
        user: Tensor,
        n_users: int,
        intents: Sequence[Sequence[int]],
        n_intents: int,
        hard_negatives: Sequence[Sequence[int]],
        n_metadata: int = 0,
    ) -> None:
        super().__init__()
        self.n_metadata = n_metadata
        # Half precision: three digits of a probability are enough for a target, and the labels of
        # a million sessions fit in memory.
        values = torch.zeros(len(user), n_intents, dtype=torch.float16)
        count = torch.tensor([len(row) for row in intents])
        row = torch.arange(len(user)).repeat_interleave(count)
        values[row, torch.tensor([c for row in intents for c in row], dtype=torch.long)] = 1
        self.register_buffer("values", values)  # (S, C)
        self.register_buffer("origin", (count > 0).to(torch.uint8) * LLM)  # (S,)
        row_of = torch.full((n_users,), -1)
        row_of[user] = torch.arange(len(user))
        self.register_buffer("row_of", row_of, persistent=False)
        count = torch.tensor([len(row) for row in hard_negatives])
        self.register_buffer("hard_count", count, persistent=False)
        self.register_buffer("hard_first", count.cumsum(0) - count, persistent=False)
        # One extra item, so that the offset of a session without items is a valid index.
        items = [item for row in hard_negatives for item in row] + [0]
        self.register_buffer("hard_items", torch.tensor(items), persistent=False)

    def of(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N, C) float32 of training sessions `user` (N,), and whether each has labels."""
        row = self.row_of[user]
        return self.values[row].float(), self.origin[row] != NONE

    def hard_negative(self, user: Tensor) -> Tensor:
        """A random hard negative of each session `user` (N,) -> (N,); 0 if it has none."""
        row = self.row_of[user]
        count = self.hard_count[row]
        chance = torch.rand(len(user), device=user.device, dtype=torch.float64)
        item = self.hard_items[self.hard_first[row] + (chance * count).long()]
        return item.where(count > 0, 0)

    def put(self, rows: Tensor, values: Tensor) -> None:
        """Set enriched labels `values` (R, C) of the sessions at `rows` (R,), 0 .. S - 1."""
        self.values[rows] = values.to(self.values.dtype)
        self.origin[rows] = ENRICHED
