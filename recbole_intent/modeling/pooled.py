"""Shared parts of models that cluster mean-pooled histories and contrast two random views."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_intent.modeling.clustered import ClusteredIntents
from recbole_intent.nn.augment import random_view
from recbole_intent.nn.losses import info_nce, random_others, sampled_binary_cross_entropy


class PooledIntents(ClusteredIntents):
    """A causal next-item model whose intents are clusters of the mean of a history's states.

    List it before a `NextItemMixin` model, and call `prepare_views` at the end of its `__init__`.

    In the methods, `item_seq` is (B, n) and `last` (B,): each row's number of items.
    """

    def prepare_views(self, config: Any) -> None:
        """Read the options of views, contrasts and the next-item loss."""
        self.next_item_loss = config["next_item_loss"]
        self.instance_weight = float(config["instance_weight"])
        self.intent_weight = float(config["intent_weight"])
        self.masks = config["mask_false_negatives"]
        self.contrast = {"temperature": config["temperature"], "similarity": config["similarity"]}
        self.ratios = {name: config[name] for name in ("crop_ratio", "mask_ratio", "reorder_ratio")}

    def sequence_vectors(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """Mean-pooled states (B, d) of histories (B, n) of length (B,)."""
        return self.pool(self.states(item_seq, item_seq_len), item_seq_len)

    def states(self, item_seq: Tensor, last: Tensor) -> Tensor:
        """States (B, n, d) of all positions; meaningless at padding."""
        lengths = torch.arange(1, item_seq.size(1) + 1, device=item_seq.device)
        return self.forward(item_seq, torch.minimum(lengths, last[:, None]))

    @staticmethod
    def pool(states: Tensor, last: Tensor) -> Tensor:
        """Mean (B, d) of the states (B, n, d) of real positions."""
        is_real = torch.arange(states.size(1), device=states.device) < last[:, None]
        return (states * is_real.unsqueeze(-1)).sum(dim=1) / last[:, None]

    def encode_batch(self, interaction: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One pass over a batch of rows or a shared batch.

        Returns:
            User vectors (N, d), targets (N,), pooled states (B, d) and numbers of items (B,).
        """
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        last = length if length.dim() == 1 else length.amax(dim=1)
        states = self.states(item_seq, last)
        hidden = self.gather_indexes(states, length - 1)
        h, target = self.flatten_targets(hidden, interaction[self.POS_ITEM_ID])
        return h, target, self.pool(states, last), last

    def next_item(self, h: Tensor, target: Tensor) -> Tensor:
        """The mean loss of user vectors (N, d) for target items (N,)."""
        if self.next_item_loss == "CE":
            return self.cross_entropy(h, target)
        negatives = random_others(target, self.n_items)
        return sampled_binary_cross_entropy(h, self.item_table(), target, negatives)

    def views(self, item_seq: Tensor, last: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Two random views of each row: states (B, n, d) and numbers of items (B,)."""
        drawn = [random_view(item_seq, last, **self.ratios) for _ in range(2)]
        items, lengths = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        states = self.states(items, lengths)
        halves = states.split(len(item_seq)), lengths.split(len(item_seq))
        return list(zip(*halves, strict=True))

    def instance_contrast(self, views: list[tuple[Tensor, Tensor]]) -> Tensor:
        """NT-Xent of two views, whose states are aligned at their last items and concatenated."""
        first, second = (align_at_end(states, last).flatten(1) for states, last in views)
        return info_nce(
            first,
            second,
            symmetric=True,
            within=True,
            **self.contrast,
        )

    def intent_contrast(
        self, views: list[tuple[Tensor, Tensor]], centre: Tensor, cluster: Tensor
    ) -> Tensor:
        """Mean NT-Xent of each pooled view and the row's centre (B, d), of number `cluster` (B,).

        Rows of one cluster are not negatives of each other with `mask_false_negatives`.
        """
        group = cluster if self.masks else None
        losses = [
            info_nce(
                self.pool(*view), centre, group=group, symmetric=True, within=True, **self.contrast
            )
            for view in views
        ]
        return (losses[0] + losses[1]) / 2


def align_at_end(states: Tensor, last: Tensor) -> Tensor:
    """Move right-padded states (B, n, d) of `last` (B,) items to the end, with 0 before them."""
    n = states.size(1)
    source = torch.arange(n, device=states.device) - (n - last[:, None])  # (B, n)
    index = source.clamp_min(0).unsqueeze(-1).expand_as(states)
    return states.gather(1, index) * (source >= 0).unsqueeze(-1)


def unit(x: Tensor) -> Tensor:
    """Vectors (..., d) scaled to length 1."""
    return F.normalize(x, dim=-1)
