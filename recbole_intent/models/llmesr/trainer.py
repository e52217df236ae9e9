"""LLM-ESR's training loop, which looks at all users before each epoch."""

from pathlib import Path

import torch

from recbole_intent.config.config import Config
from recbole_intent.trainer.base import Trainer
from recbole_intent.utils.errors import UserError


class LLMESRTrainer(Trainer):
    """Hands the vectors of all training users, by the epoch's first weights, to `LLMESR`.

    A user is represented by the history before its last training target. A run that resumes
    computes the same vectors from the weights of its last epoch.
    """

    def __init__(self, config: Config, model, folder: Path | None = None, title: str = "train"):
        super().__init__(config, model, folder, title)
        if model.align_weight and not config["fast_sequences"]:
            raise UserError("fast_sequences: must be True for the similar users of LLMESR")

    def before_epoch(self, epoch: int, train_data) -> None:
        """Compute the vectors if similar users are aligned."""
        model, dataset = self.model, train_data._dataset
        if not model.align_weight:
            return
        samples = torch.from_numpy(dataset.last_samples())
        table = model.eval().item_table().detach()

        def encode(item_seq, length):
            return model.encode(item_seq, length, table)

        h = torch.zeros_like(model.peer_means)
        users = dataset.inter_feat[dataset.uid_field][samples]
        h[users.to(h.device)] = self.encode_samples(encode, dataset, samples).to(h.device)
        model.set_user_vectors(h)
