"""VELI4SBR: what is known of the intents of each training session, and its hard negatives."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

NONE, LLM, ENRICHED = 0, 1, 2  # where the labels of a session come from


class SessionLabels(nn.Module):
    """Intent labels y^(t) of S training sessions over a pool of C intents, and hard negatives.

    Labels and their origin are part of a checkpoint; all else follows from the dataset.

    Args:
        user: (S,) number of each training session among `n_users`, all different.
        n_users: numbers of sessions, those of validation and test and padding's 0 included.
        intents: S lists of intents, 0 .. C - 1; an empty one has no label.
        n_intents: C.
        hard_negatives: S lists of items.
        n_metadata: how many of the sessions have intents that no language model gave.

    Source: VELI4SBR, equations (10), (12), (13).
    """

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
        # Half precision: three digits of a probability are enough for a target, and a million
        # sessions fit into memory.
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
        # One item more than there are, so that the place of a session without any is a place.
        items = [item for row in hard_negatives for item in row] + [0]
        self.register_buffer("hard_items", torch.tensor(items), persistent=False)

    def of(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N, C) float32 of training sessions `user` (N,), and whether each has any."""
        row = self.row_of[user]
        return self.values[row].float(), self.origin[row] != NONE

    def hard_negative(self, user: Tensor) -> Tensor:
        """One of the hard negatives of each session `user` (N,) by chance, (N,); 0 for none."""
        row = self.row_of[user]
        count = self.hard_count[row]
        chance = torch.rand(len(user), device=user.device, dtype=torch.float64)
        item = self.hard_items[self.hard_first[row] + (chance * count).long()]
        return item.where(count > 0, 0)

    def put(self, rows: Tensor, values: Tensor) -> None:
        """Give the sessions at `rows` (R,), 0 .. S - 1, enriched labels `values` (R, C)."""
        self.values[rows] = values.to(self.values.dtype)
        self.origin[rows] = ENRICHED
