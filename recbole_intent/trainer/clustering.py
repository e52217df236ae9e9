"""The training loop of models with clustered intents: k-means (E-step) before epochs."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recbole_intent.config.config import Config
from recbole_intent.data.loading.sequences import IndexedSequentialDataset
from recbole_intent.nn.kmeans import check_library, kmeans
from recbole_intent.trainer.base import Trainer
from recbole_intent.utils.errors import UserError


class ClusteringTrainer(Trainer):
    """Clusters the vectors of training sequences and hands the centres to a `ClusteredIntents`.

    The E-step uses the weights at the beginning of its epoch and is seeded by the run's seed, so a
    run that is killed during it, or later in the epoch, resumes with the same centres.

    Args:
        config: with `num_clusters`, `kmeans`, `kmeans_iter` and `kmeans_redo`.
        model: a `ClusteredIntents`, already on its device.
        folder, title: as in `Trainer`.

    Raises:
        UserError: `fast_sequences: False`, or `kmeans: faiss` without faiss.
    """

    def __init__(self, config: Config, model, folder: Path | None = None, title: str = "train"):
        super().__init__(config, model, folder, title)
        if not config["fast_sequences"]:
            raise UserError(f"fast_sequences: must be True for {config['model']}")
        if model.uses_centres:
            check_library(config["kmeans"], "kmeans: faiss")

    def check_data(self, train_data) -> None:
        """As `Trainer.check_data`; refuses more clusters than there are sequences to cluster."""
        super().check_data(train_data)
        if self.model.uses_centres:
            self._check_clusters(self._samples(train_data._dataset))

    def before_epoch(self, epoch: int, train_data) -> None:
        """Compute the centres if they are due."""
        super().before_epoch(epoch, train_data)
        if not self.model.needs_e_step(epoch):
            return
        started = time.perf_counter()
        config, dataset = self.config, train_data._dataset
        samples = self._samples(dataset)
        self._check_clusters(samples)
        centres = kmeans(
            self._vectors(dataset, samples).numpy(),
            config["num_clusters"],
            seed=config["seed"] % 2**31,
            n_iter=config["kmeans_iter"],
            n_redo=config["kmeans_redo"],
            library=config["kmeans"],
        )
        self.model.set_centres(centres.to(self.device))
        seconds = time.perf_counter() - started
        self.logger.info("%d sequences clustered, %.1f s", len(samples), seconds)

    def _samples(self, dataset: IndexedSequentialDataset) -> Tensor:
        """Numbers of the training samples whose histories are clustered."""
        if self.model.clusters_prefixes:
            return torch.arange(len(dataset.inter_feat))
        return torch.from_numpy(dataset.last_samples())

    def _check_clusters(self, samples: Tensor) -> None:
        k = self.config["num_clusters"]
        if k > len(samples):
            raise UserError(
                f"num_clusters: {k} are more than the {len(samples)} training sequences; give "
                f"--num_clusters={max(1, len(samples) // 10)}"
            )

    def _vectors(self, dataset: IndexedSequentialDataset, samples: Tensor) -> Tensor:
        """The vectors (N, d) of these samples' histories, on the CPU."""
        return self.encode_samples(self.model.eval().sequence_vectors, dataset, samples)


def epoch_generator(config: Config, epoch: int, purpose: int) -> np.random.Generator:
    """A generator that depends only on the run's seed, the epoch and a purpose, from 2 on.

    The loader's own draws have no purpose, or 1.
    """
    return np.random.default_rng([config["seed"], epoch, purpose])
