"""Shared parts of next-item models: several targets per row, loss over all items, and scoring."""

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor

from recbole_intent.nn.losses import linear_cross_entropy
from recbole_intent.nn.sampled_softmax import NegativeSampler, sampled_cross_entropy


class NextItemMixin(SequentialRecommender):
    """Next-item training and scoring around a model's `forward(item_seq, item_seq_len)`.

    List it before a RecBole `SequentialRecommender` whose `item_embedding` is also its output
    table. A batch is either

    - *rows*: `item_seq` (B, n), `item_seq_len` (B,), target item (B,), as in RecBole; or
    - *shared*: `item_seq` (B, n), `item_seq_len` (B, T), target items (B, T), 0 where a row has
      fewer than T targets: one pass trains T prefixes of the same window.

    `forward` returns the user vectors, (B, d) or (B, T, d). A RecBole model that ends with
    `gather_indexes(output, item_seq_len - 1)` needs no change, because the `gather_indexes` below
    accepts both shapes. Only a causal model may be trained on shared batches.
    """

    # Absent: the softmax is over all items. A class attribute would hide the registered module.
    negative_sampler: NegativeSampler
    loss_names: tuple[str, ...] = ("loss",)
    uses_log_q: bool  # with a sampler: correct its logits
    label_smoothing = 0.0  # of `cross_entropy` over all items; set by the trainer
    compiled_parts: tuple[str, ...] = ("forward",)  # the methods that `compile: True` compiles

    @classmethod
    def shares_passes(cls, config) -> bool:
        """Whether shared batches give the same loss as rows, under this configuration."""
        return config["loss_type"] == "CE"

    def prepare_softmax(self, config, dataset) -> None:
        """Read `softmax` and its options; a model calls it at the end of its `__init__`.

        Args:
            config: without `softmax`, or with `full`, the loss is over all items.
            dataset: the training split, whose targets give the items' frequencies.
        """
        # RecBole's configuration has no `get`.
        kind = config["softmax"] if "softmax" in config else "full"  # noqa: SIM401
        if kind == "full":
            return
        items = dataset.inter_feat[dataset.iid_field]
        self.negative_sampler = NegativeSampler(
            kind,
            config["softmax_negatives"],
            config["softmax_shared"],
            torch.bincount(items, minlength=dataset.item_num),
        )
        self.uses_log_q = config["softmax_log_q"]

    def gather_indexes(self, output: Tensor, gather_index: Tensor) -> Tensor:
        """States of `output` (B, n, d) at `gather_index` (B,) -> (B, d), or (B, T) -> (B, T, d)."""
        if gather_index.dim() == 1:
            return output[torch.arange(len(output), device=output.device), gather_index]
        # Rows with fewer than T targets are padded with length 0, index -1: any state will do.
        index = gather_index.clamp_min(0).unsqueeze(-1).expand(-1, -1, output.size(-1))
        return output.gather(1, index)

    def item_table(self) -> Tensor:
        """The vectors (V, d) that score items; row 0 is padding."""
        return self.item_embedding.weight

    def user_vectors(self, interaction) -> Tensor:
        """User vectors of a batch's histories; models that also need the user id override it."""
        return self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])

    def encode_targets(self, interaction) -> tuple[Tensor, Tensor]:
        """User vectors (N, d) and target items (N,) of a batch of rows or of a shared batch."""
        hidden = self.user_vectors(interaction)
        return self.flatten_targets(hidden, interaction[self.POS_ITEM_ID])

    @staticmethod
    def flatten_targets(hidden: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Drop the padding: (B, T, d) and (B, T) become (N, d) and (N,); rows stay unchanged."""
        if items.dim() == 1:
            return hidden, items
        real = items > 0
        return hidden[real], items[real]

    def cross_entropy(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Mean softmax cross-entropy of `hidden` (N, d), over all items or sampled ones.

        RecBole's losses include padding's row 0 among all items; this one does too, to equal them.
        """
        if hasattr(self, "negative_sampler"):
            log_q = self.negative_sampler.log_q if self.uses_log_q else None
            negatives = self.negative_sampler(target)
            return sampled_cross_entropy(hidden, self.item_table(), target, negatives, log_q)
        return linear_cross_entropy(
            hidden, self.item_table(), target, label_smoothing=self.label_smoothing
        )

    def calculate_loss(self, interaction) -> Tensor | tuple[Tensor, ...]:
        """Cross-entropy of a batch; RecBole's model itself handles `loss_type: BPR`."""
        if self.loss_type != "CE":
            return super().calculate_loss(interaction)
        return self.cross_entropy(*self.encode_targets(interaction))

    def loss_terms(self, interaction) -> tuple[int, ...]:
        """Number of terms averaged in each loss of a batch; a single number if all are equal."""
        return (int((interaction[self.POS_ITEM_ID] > 0).sum()),)

    def predict(self, interaction) -> Tensor:
        """Scores (B,) of each row's item."""
        hidden = self.user_vectors(interaction)
        return (hidden * self.item_table()[interaction[self.ITEM_ID]]).sum(-1)

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores (B, V) of all items."""
        hidden = self.user_vectors(interaction)
        return hidden @ self.item_table().T
