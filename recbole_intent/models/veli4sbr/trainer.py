"""VELI4SBR's training loop, which enriches session labels from their neighbours' predictions."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recbole_intent.config.config import Config
from recbole_intent.data.loading.sequences import TARGET_FIELD
from recbole_intent.models.veli4sbr.label_refresh import refreshed_labels
from recbole_intent.models.veli4sbr.session_labels import LLM, NONE
from recbole_intent.trainer import distributed
from recbole_intent.trainer.base import Trainer
from recbole_intent.utils.errors import UserError

_SESSIONS = 2048  # batch size of a pass without training


class VELI4SBRTrainer(Trainer):
    """Enriches VELI4SBR's labels before every epoch whose number, from 1, `enrich_every` divides.

    y = ½ (ŷ_S + mean of ŷ over the `n_neighbors` training sessions nearest to S), (14)-(16), for
    all training sessions (`enrich_scope: all`) or for those without LLM intents (`failed`). A
    session is represented by the history before its last training target. With
    `n_neighbors: none` each session that has labels gets its own ŷ; the others get none.

    The labels are part of the model's state, and therefore of every checkpoint.
    """

    def __init__(self, config: Config, model, folder: Path | None = None, title: str = "train"):
        super().__init__(config, model, folder, title)
        if model.labels is not None and not config["fast_sequences"]:
            raise UserError("fast_sequences: must be True for the intents of VELI4SBR")

    def deviations(self, train_data) -> list[str]:
        """As `Trainer.deviations`, plus those of stage 1: intents not from a language model."""
        lines = super().deviations(train_data)
        labels = self.model.labels
        if labels is not None and labels.n_metadata:
            lines.append(
                f"intents: {labels.n_metadata} sessions have those of metadata (paper: an LLM's, "
                "accepted where they let it predict the next item, 4.1)"
            )
        return lines

    def before_epoch(self, epoch: int, train_data) -> None:
        """Enrich the labels if they are due."""
        is_time = (epoch + 1) % self.config["enrich_every"] == 0
        if self.model.labels is not None and self.config["enrich"] and is_time:
            self.enrich(train_data)

    def enrich(self, train_data) -> None:
        """Set the sessions' labels from the current weights."""
        started = time.perf_counter()
        labels = self.model.labels
        rows = self._rows_to_enrich()
        if distributed.is_main() and len(rows):
            h, y_hat = self._look_at_sessions(train_data._dataset)
            k = self.config["n_neighbors"]
            values = refreshed_labels(h, y_hat, 0 if k == "none" else k, rows)
            labels.put(rows, values)
        distributed.copy_from_main(labels)
        self.logger.info(
            "labels of %d of %d sessions enriched, %.1f s",
            len(rows),
            len(labels.origin),
            time.perf_counter() - started,
        )

    def _rows_to_enrich(self) -> Tensor:
        origin = self.model.labels.origin
        is_all = self.config["enrich_scope"] == "all"
        wanted = torch.ones_like(origin, dtype=torch.bool) if is_all else origin != LLM
        if self.config["n_neighbors"] == "none":
            wanted = wanted & (origin != NONE)
        return wanted.nonzero().flatten()

    @torch.no_grad()
    def _look_at_sessions(self, dataset) -> tuple[Tensor, Tensor]:
        """h (S, d) and ŷ (S, C), in half precision, of all training sessions."""
        model = self.model.eval()
        samples = last_samples(dataset)
        h: list[Tensor] = []
        y_hat: list[Tensor] = []
        places: list[Tensor] = []
        width = None if self.config.spec.trim else dataset.max_item_list_len
        for where, rows in dataset.by_length(samples, _SESSIONS, width):
            rows = rows.to(self.device)
            with self.autocast():
                encoded = model.encode(rows[model.ITEM_SEQ], rows[model.ITEM_SEQ_LEN])
                logits = model.fusion.relevance(encoded)
            h.append(encoded.float())
            y_hat.append(logits.float().sigmoid().half())
            places.append(where)
        place = torch.cat(places).argsort().to(self.device)
        return torch.cat(h)[place], torch.cat(y_hat)[place]


def last_samples(dataset) -> Tensor:
    """The sample of each session's last target, by ascending session id."""
    samples = dataset.inter_feat
    user, target = samples[dataset.uid_field].numpy(), samples[TARGET_FIELD].numpy()
    order = np.lexsort((target, user))
    is_last = np.r_[user[order][1:] != user[order][:-1], True]
    return torch.from_numpy(order[is_last])
