"""ISRF's training loop."""

from pathlib import Path

from recbole_intent.config.config import Config
from recbole_intent.models.generative.trainer import GenerativeTrainer
from recbole_intent.models.isrf.semantics import read_user_vectors


class ISRFTrainer(GenerativeTrainer):
    """Alternates direct (explicit -> group interest) and sequential batches: iterative refinement.

    Options as in `GenerativeTrainer`.
    """

    def __init__(self, config: Config, model, folder: Path | None = None, title: str = "train"):
        super().__init__(config, model, folder, title)
        if model.aligned:
            # The model reads them at its first alignment; this raises errors before the run begins.
            read_user_vectors(config, model._dataset)

    def approximations(self, train_data) -> list[str]:
        """As `GenerativeTrainer.approximations`, plus the protocol."""
        return [f"protocol: {self.config['protocol']}", *super().approximations(train_data)]

    def _shortcuts(self) -> list[str]:
        lines = super()._shortcuts()
        if self.config["align_every"] > 1 and self.model.aligned:
            lines.append(f"align_every: {self.config['align_every']}")
        return lines
