"""Trainer of PO4ISR, which says in results what ranks the items."""

from recbole_intent.models.po4isr.model import DIRECT
from recbole_intent.trainer.base import Trainer


class RankingTrainer(Trainer):
    """As `Trainer`."""

    def approximations(self, train_data) -> list[str]:
        """As `Trainer.approximations`, plus that a SASRec ranks where PO4ISR cannot."""
        lines = super().approximations(train_data)
        if self.config["task"] != DIRECT:
            lines.append("a SASRec ranks all items; PO4ISR ranks candidates (--task=direct)")
        return lines
