"""LARES's training loop: pre-training with histories of the same target, then reinforcement."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_intent.config.config import Config
from recbole_intent.data.loading.loader import MAX_SCORES
from recbole_intent.data.loading.same_target import SameTarget
from recbole_intent.data.loading.sequences import SAMPLE_FIELD
from recbole_intent.models.lares.model import LARES
from recbole_intent.models.lares.policy import policy_losses, rewards_of
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.trainer.base import Trainer
from recbole_intent.trainer.stage import Stage
from recbole_intent.utils.errors import UserError

_POSITIVES = 3  # purpose of a generator
_FILTER_PASSES = 3  # as the authors'
_ROWS = 2048  # batch size of a pass without training


class LARESTrainer(Trainer):
    """Two stages: self-supervised pre-training (SPT) and reinforcement (RPT), if `rpt_share` > 0.

    SPT draws, for each row of a batch, another training history with the same target. A row whose
    target no other one has is its own.

    RPT starts from the best weights of SPT, which also stay as a frozen reference. It trains the
    rows whose target is among the first `rpt_keep_top` items in one of three passes with random
    first states. Each row gets G = `group_size` rollouts with random first states, depths and
    dropout; `policy_losses` rewards those whose last step ranks the target high, compared with the
    row's other rollouts, plus `rpt_beta` times the divergence from the reference, which takes as
    many steps.

    All draws depend on the run's seed and on the epoch only, and checkpoints contain the reference
    and the rows, so a run that is killed resumes with the same ones in either stage.

    Raises:
        UserError: `fast_sequences: False`.
    """

    def __init__(self, config: Config, model, folder: Path | None = None, title: str = "train"):
        super().__init__(config, model, folder, title)
        if not config["fast_sequences"]:
            raise UserError("fast_sequences: must be True for LARES")
        self._same_target: SameTarget | None = None
        self._reference: LARES | None = None
        self._kept: np.ndarray | None = None

    def stages(self) -> Sequence[Stage]:
        """Pre-training, and reinforcement if it has an epoch."""
        n = int(self.config["rpt_share"] * self.epochs)
        if not n:
            return super().stages()
        return (
            Stage("pre-training", self.epochs - n),
            Stage(
                "reinforcement",
                n,
                losses=self._reinforce,
                loss_names=("policy", "divergence"),
                options={"learning_rate": self.config["rpt_learning_rate"]},
            ),
        )

    def before_epoch(self, epoch: int, train_data) -> None:
        """As `Trainer.before_epoch`; prepares the draws of SPT, or the rows of RPT."""
        super().before_epoch(epoch, train_data)
        self._dataset = train_data._dataset
        is_pretraining = self.stage_index == 0
        train_data.numbered = is_pretraining and self.model.trajectory_weight > 0
        if train_data.numbered:
            if self._same_target is None:
                targets = self._dataset.inter_feat[self._dataset.iid_field].numpy()
                self._same_target = SameTarget(targets)
            self._draws = np.random.default_rng([self.config["seed"], epoch, _POSITIVES])
        if not is_pretraining:
            if self._reference is None:
                self._reference = self._frozen()
                self._kept = self._rows_within_reach(self._reference)
            train_data.step = self.config["rpt_batch_size"]
            train_data._take(self._kept)
            for module in self.model.modules():
                if isinstance(module, FastDropout):
                    module.p = self.config["rpt_dropout_prob"]

    def _frozen(self) -> LARES:
        reference = copy.deepcopy(self.model).eval().requires_grad_(False)
        for name in self.model.compiled_parts:  # they would run the model, not its copy
            vars(reference).pop(name, None)
        return reference

    @torch.no_grad()
    def _rows_within_reach(self, model: LARES) -> np.ndarray:
        """Numbers of the training samples whose target the pre-trained model ranks high enough."""
        top = self.config["rpt_keep_top"]
        samples = torch.arange(len(self._dataset.inter_feat))
        is_kept = torch.zeros(len(samples), dtype=torch.bool)
        size = max(1, min(_ROWS, MAX_SCORES // model.n_items))
        for places, rows in self._dataset.by_length(samples, size):
            rows = rows.to(self.device)
            target = rows[model.POS_ITEM_ID]
            for _ in range(_FILTER_PASSES):
                seq, length = rows[model.ITEM_SEQ], rows[model.ITEM_SEQ_LEN]
                h = model.states(seq, length, model.test_recurrence, is_random=True)[:, -1]
                is_kept[places] |= (model.ranks(h, target) < top).cpu()
        if not is_kept.any():
            raise UserError(
                f"rpt_keep_top: no training row has its target among the first {top} items; give a "
                "larger number, or rpt_share: 0"
            )
        self.logger.info("reinforcement: %d of %d rows", int(is_kept.sum()), len(samples))
        return is_kept.nonzero().flatten().numpy()

    def extra_state(self) -> dict[str, Any]:
        """The reference and the rows of RPT, once they exist."""
        if self._reference is None:
            return {}
        return {"reference": self._reference.state_dict(), "kept": torch.from_numpy(self._kept)}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restore `extra_state`."""
        if state:
            self._reference = self._frozen()
            self._reference.load_state_dict(state["reference"])
            self._kept = state["kept"].cpu().numpy()

    def losses(self, interaction) -> tuple[Tensor, ...]:
        """As `Trainer.losses`, in SPT with a history of the same target for each row."""
        if self._same_target is not None and SAMPLE_FIELD in interaction:
            samples = interaction[SAMPLE_FIELD].cpu().numpy()
            rows = self._dataset.rows(self._same_target.draw(samples, self._draws)).to(self.device)
            model = self.model
            columns = {model.POSITIVE_SEQ: model.ITEM_SEQ, model.POSITIVE_LEN: model.ITEM_SEQ_LEN}
            interaction.update(Interaction({name: rows[c] for name, c in columns.items()}))
        return super().losses(interaction)

    def _reinforce(self, interaction) -> tuple[Tensor, Tensor]:
        model, config, reference = self.model, self.config, self._reference
        assert reference is not None  # since this stage began
        seq, length = interaction[model.ITEM_SEQ], interaction[model.ITEM_SEQ_LEN]
        target = interaction[model.POS_ITEM_ID]
        own, theirs, ranks = [], [], []
        for _ in range(config["group_size"]):
            steps = model.draw_steps()
            h = model.states(seq, length, steps)
            own.append(model.log_probabilities(h, target))
            ranks.append(model.ranks(h[:, -1], target))
            with torch.no_grad():
                h = reference.states(seq, length, steps, is_random=True)
                theirs.append(reference.log_probabilities(h, target))
        rewards = rewards_of(torch.stack(ranks), config["reward"], config["reward_k"])
        policy, divergence = policy_losses(own, theirs, rewards)
        # Advantages sum to 0, so the value of `policy` says nothing: show minus the mean reward.
        policy = policy - policy.detach() - rewards.mean()
        return policy, config["rpt_beta"] * divergence
