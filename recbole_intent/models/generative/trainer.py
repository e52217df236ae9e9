"""The training loop that alternates batches of the direct and the sequential task."""

import math
from pathlib import Path

import torch

from recbole_intent.config.config import Config
from recbole_intent.data.loading.loader import RankingLoader
from recbole_intent.data.loading.split import noise_of
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.models.generative.direct_batches import Alternating, DirectBatches
from recbole_intent.models.generative.tasks import DIRECT, NO_EDGES, SEQUENTIAL
from recbole_intent.trainer.base import Trainer
from recbole_intent.trainer.optimization import Schedule
from recbole_intent.utils.errors import UserError


class GenerativeTrainer(Trainer):
    """Alternates direct and sequential batches.

    An epoch covers the training targets (sequential) and `direct_targets` per user (direct).
    `refine_every: batch` spreads both evenly over the epoch, `epoch` runs one task after the
    other, in the order of `tasks`.

    `stop_on: loss` selects the epoch by the token loss of the tasks on validation instead of
    `valid_metric`; the direct task's negatives are then outside training and validation.
    """

    def __init__(self, config: Config, model, folder: Path | None = None, title: str = "train"):
        super().__init__(config, model, folder, title)
        noise = noise_of(config)
        learns_noisy = noise and noise["where"] != "test"
        if (noise and config["task"] == DIRECT) or (learns_noisy and DIRECT in model.tasks):
            raise UserError(
                f"noise: perturbs histories, which {config['model']}'s direct task does not read; "
                "ask task: next-item with where: test, or train with tasks: [sequential]"
            )
        is_constant = config["lr_schedule"] == "constant"  # another schedule replaces the decay
        self.decay_epochs = config["decay_epochs"] if is_constant else 0
        if self.decay_epochs:
            self.epochs = min(self.epochs, self.decay_epochs)
        self._direct: DirectBatches | None = None
        if config["stop_on"] == "loss":
            self.metric, self.bigger, self.best_score = "loss", False, math.inf

    def approximations(self, train_data) -> list[str]:
        """As `Trainer.approximations`, plus label leaks and beams."""
        lines = [*super().approximations(train_data), *self._shortcuts()]
        if self._uses_beams:
            lines.append(f"num_beams: {self.config['num_beams']}")
        return lines

    def _shortcuts(self) -> list[str]:
        """Keys whose values let training see what it should not, or skip something."""
        leaks = []
        for key, leak in (
            ("item_ids", "sequential_p5"),
            ("graph_edges", "any"),
            ("hide_edges", NO_EDGES),
        ):
            if key not in self.config:
                continue
            value = self.config[key]
            if value == leak or (value == "auto" and self.config["protocol"] == "published"):
                leaks.append(f"{key}: {leak}")
        return leaks

    @property
    def _uses_beams(self) -> bool:
        return self.model.trie is not None and self.config["decode"] == "beam"

    def rank(self, data: RankingLoader) -> Ranks:
        """As `Ranker.rank`; also reports how many targets the beams reached."""
        ranks = super().rank(data)
        if self._uses_beams and data.candidates is None:
            # Beams hold `num_beams` of the ranked items, or all of them; any other item ranks
            # behind these.
            reached = int((ranks.rank <= self.config["num_beams"]).sum())
            self.logger.info(
                "%d beams reached %d of %d targets", self.config["num_beams"], reached, len(ranks)
            )
        return ranks

    def schedule(self) -> Schedule:
        """As `Trainer.schedule`; `decay_epochs` lowers the rate after each epoch."""
        if not self.decay_epochs:
            return super().schedule()
        rate, warmup = self.config["learning_rate"], self.config["warmup_epochs"]
        return Schedule("linear", rate, self.decay_epochs, warmup, by_epoch=True)

    def _train_epoch(self, epoch: int, train_data, show_progress: bool) -> dict[str, float]:
        parts = {}
        if SEQUENTIAL in self.model.tasks:
            parts[SEQUENTIAL] = len(train_data), train_data
        if DIRECT in self.model.tasks:
            direct = self._direct_batches(train_data._dataset)
            parts[DIRECT] = len(direct), direct.epoch(epoch)
        batches = Alternating(
            [parts[task] for task in self.model.tasks], self.config["refine_every"] == "batch"
        )
        losses = super()._train_epoch(epoch, batches, show_progress)
        # Each mean covers only the batches of its own task.
        for name in losses:
            losses[name] *= len(batches) / parts[name.rpartition("_")[2]][0]
        return losses

    def _direct_batches(self, dataset) -> DirectBatches:
        if self._direct is None:
            self._direct = DirectBatches(self.config, dataset)
        return self._direct

    def check_data(self, train_data) -> None:
        """As `Trainer.check_data`; checks that each user has `n_negatives` unseen items."""
        if DIRECT in self.model.tasks:
            self._direct_batches(train_data._dataset)

    def evaluate(self, data: RankingLoader) -> dict[str, float]:
        """The metrics, plus `loss` with `stop_on: loss`."""
        metrics = super().evaluate(data)
        if self.config["stop_on"] == "loss":
            metrics["loss"] = self._held_out_loss(data)
        return metrics

    @torch.no_grad()
    def _held_out_loss(self, data: RankingLoader) -> float:
        """Sum over the tasks of the mean loss per row of the split."""
        model = self.model.eval()
        field = self.config["ITEM_ID_FIELD"]
        batches = []
        if SEQUENTIAL in model.tasks:
            for batch in data:
                batch.interaction.interaction[field] = batch.target
                batches.append(batch.interaction)
        if DIRECT in model.tasks:
            rows = data.dataset.inter_feat
            users, items = (rows[name].numpy() for name in (data.dataset.uid_field, field))
            assert self._direct is not None  # made by `check_data`
            batches += self._direct.held_out(users, items)
        total = 0.0
        for batch in batches:
            batch = batch.to(self.device)
            with self.autocast():
                total += float(sum(model.calculate_loss(batch))) * len(batch)
        return total / len(data.dataset.inter_feat)
