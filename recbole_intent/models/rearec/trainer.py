"""ReaRec's training loop, which starts the contrast with noisy steps after some epochs."""

from recbole_intent.trainer.base import Trainer
from recbole_intent.utils.errors import UserError


class ReaRecTrainer(Trainer):
    """Trains ReaRec, whose terms of the loss depend on the epoch."""

    def before_epoch(self, epoch: int, train_data) -> None:
        """Set the terms of the loss."""
        self.model.start_epoch(epoch)

    def _train_epoch(self, epoch: int, train_data, show_progress: bool) -> dict[str, float]:
        try:
            return super()._train_epoch(epoch, train_data, show_progress)
        except UserError as error:
            if "divergence" not in self.model.weights:
                raise
            raise UserError(
                f"{error}; or a --kl_weight below {self.config['kl_weight']}: the divergence that "
                "it rewards has no bound"
            ) from error
