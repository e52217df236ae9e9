"""RecBole's BERT4Rec made faster, and the same network as an encoder of histories."""

import torch
import torch.nn.functional as F
from recbole.model.sequential_recommender import BERT4Rec as RecBoleBERT4Rec
from torch import Tensor

from recbole_intent.modeling.reference import is_recboles
from recbole_intent.nn.losses import linear_cross_entropy
from recbole_intent.nn.sasrec_layers import encode_both_ways, use_fast_dropout

# Widths for encoding the rows of a training batch, grouped by length.
_WIDTHS = (4, 8, 12, 16, 24, 32)


class BERT4Rec(RecBoleBERT4Rec):
    """RecBole's `BERT4Rec` (Sun et al., 2019) with the same weights and masks, but faster.

    Only masked positions reach the loss, so rows without one are skipped, and so are the scores of
    unmasked positions; rows are encoded in groups of similar length. A state dict of either class
    loads into the other. As in RecBole, the loss never treats position 0 as masked.

    Scores are read at a mask after the history. Only a history of `MAX_ITEM_LIST_LENGTH` = N items
    loses its first item to the mask, so that the mask is at a position that was trained. RecBole
    removes the first item of every history and shifts the others down by one position when it
    scores, but not when it trains; `reference: recbole` reproduces this.

    Args:
        config: RecBole's, and `reference`.
        dataset: the training split.
    """

    label_smoothing = 0.0  # set by the trainer

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        use_fast_dropout(self)
        self.as_recbole = is_recboles(config)

    def forward(self, item_seq: Tensor) -> Tensor:
        """States (B, n, d) of masked histories `item_seq` (B, n), right-padded with 0."""
        return self._head(encode_both_ways(self.trm_encoder, self._embed(item_seq), item_seq > 0))

    def calculate_loss(self, interaction) -> Tensor:
        """Mean cross-entropy of the masked items over all items; 0 for a batch without any."""
        if self.loss_type != "CE":
            return super().calculate_loss(interaction)
        item_seq, index = interaction[self.MASK_ITEM_SEQ], interaction[self.MASK_INDEX]
        target = interaction[self.POS_ITEMS]
        rows = index.any(dim=1)  # (B, M) masked positions, 0 where there are fewer
        item_seq, index, target = item_seq[rows], index[rows], target[rows]
        if not len(item_seq):
            return self.output_bias.sum() * 0  # RecBole: 0 / 0
        lengths = (item_seq > 0).sum(dim=1)
        states, targets = [], []
        for low, high in zip((0, *_WIDTHS), (*_WIDTHS, item_seq.size(1)), strict=True):
            group = (lengths > low) & (lengths <= high)
            if group.any():
                part = item_seq[group, :high]
                row, column = index[group].nonzero(as_tuple=True)
                x = encode_both_ways(self.trm_encoder, self._embed(part), part > 0)
                states.append(x[row, index[group][row, column]])
                targets.append(target[group][row, column])
        hidden = self._head(torch.cat(states))
        # The bias is one more column of the table.
        hidden = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)
        return linear_cross_entropy(
            hidden, self._table(), torch.cat(targets), label_smoothing=self.label_smoothing
        )

    def predict(self, interaction) -> Tensor:
        """Scores (B,) of each row's item."""
        item = interaction[self.ITEM_ID]
        hidden = self._at_mask(interaction)
        return (hidden * self.item_embedding(item)).sum(dim=1) + self.output_bias[item]

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores (B, V) of all items."""
        table = self.item_embedding.weight[: self.n_items]  # without the mask
        return self._at_mask(interaction) @ table.T + self.output_bias

    def _table(self) -> Tensor:
        table = self.item_embedding.weight[: self.n_items]
        return torch.cat([table, self.output_bias.unsqueeze(1)], dim=1)  # (V, d + 1)

    def _embed(self, item_seq: Tensor) -> Tensor:
        position = self.position_embedding.weight[: item_seq.size(1)]
        return self.dropout(self.LayerNorm(self.item_embedding(item_seq) + position))

    def _head(self, states: Tensor) -> Tensor:
        return self.output_ln(self.output_gelu(self.output_ffn(states)))

    def _at_mask(self, interaction) -> Tensor:
        """States (B, d) of a mask after each history."""
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        if not self.as_recbole:
            return self.encode(self.item_embedding(item_seq), length)
        item_seq, last = F.pad(item_seq[:, 1:], (0, 1)), length - 1
        item_seq[torch.arange(len(item_seq), device=item_seq.device), last] = self.mask_token
        x = encode_both_ways(self.trm_encoder, self._embed(item_seq), item_seq > 0, last)
        return self._head(x)

    def encode(self, x: Tensor, item_seq_len: Tensor) -> Tensor:
        """States (B, d) of a mask after histories of length (B,).

        Args:
            x: (B, n, d) item vectors from any source.
            item_seq_len: (B,), at most N, the length of the position table.
        """
        B, n, d = x.shape
        row = torch.arange(B, device=x.device)
        x = F.pad(x, (0, 0, 0, 1))
        x[row, item_seq_len] = self.item_embedding.weight[self.mask_token]
        shift = (item_seq_len == self.max_seq_length).long()
        column = torch.arange(min(n + 1, self.max_seq_length), device=x.device)  # (w,)
        x = x.gather(1, (column + shift[:, None])[..., None].expand(-1, -1, d))  # (B, w, d)
        last = item_seq_len - shift
        x = self.dropout(self.LayerNorm(x + self.position_embedding.weight[: len(column)]))
        is_real = column <= last[:, None]  # (B, w)
        return self._head(encode_both_ways(self.trm_encoder, x, is_real, last))


class BERT4RecEncoder(BERT4Rec):
    """`BERT4Rec` read at a mask after the history, as the backbone of another model.

    The mask replaces the item to predict, in training too.
    """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        del self.output_bias  # only used by BERT4Rec's own scores

    # A backbone's `forward`, not that of masked training.
    def forward(  # type: ignore[override]
        self, item_seq: Tensor, item_seq_len: Tensor
    ) -> Tensor:
        """State (B, d) of a mask after each history `item_seq` (B, n) of length (B,)."""
        return self.encode(self.item_embedding(item_seq), item_seq_len)
