"""One part of a training, with an objective and an optimizer of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

# Keys that a stage may set for itself; all other keys hold for the whole run.
OPTIONS = frozenset(
    "learner learning_rate weight_decay lr_schedule warmup_epochs min_learning_rate ema_decay "
    "stopping_step".split()
)


@dataclass(frozen=True)
class Stage:
    """A stage of a training (`Trainer.stages`).

    Each stage has its own optimizer, schedule, average of weights, early stopping and best epoch.
    It starts from the best weights of the stage before, or from its last ones if that was not
    validated. The run's result is the best epoch of the last stage.

    Attributes:
        name: shown in progress bars, the log and `history`.
        epochs: epochs, at most.
        losses: batch -> the parts of its loss, as `calculate_loss`, which is used if None. With
            torchrun they must be means over the same rows as `calculate_loss`'s.
        loss_names: their names; the model's `loss_names` if empty.
        parameters: the parameters that learn; None: all of the model's.
        options: this stage's values of keys in `OPTIONS`, such as `{"learning_rate": 1e-4}`.
        is_validated: choose the best epoch on validation and stop early; if False, all epochs run.
    """

    name: str
    epochs: int
    losses: Callable[[Any], Tensor | tuple[Tensor, ...]] | None = None
    loss_names: tuple[str, ...] = ()
    parameters: Sequence[nn.Parameter] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    is_validated: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.options.keys() <= OPTIONS:
            raise ValueError(f"stage {self.name}: {self.epochs} epochs, options {self.options}")
