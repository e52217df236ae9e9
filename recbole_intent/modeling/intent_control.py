"""Controls of intents at test time: those of another user, the mean, or none."""

from typing import Any

from torch import Tensor

from recbole_intent.utils.errors import UserError

OWN, OTHER, MEAN, ZERO = "own", "other", "mean", "zero"


class ControlsIntents:
    """A model that can rank with intents other than a user's own (`intent_control`).

    Training is unaffected: a finished run is evaluated again. If another user's intents serve as
    well as one's own, they carry no information about the user.

    - `other`: the intents of the user before in the batch (the first user has the last one's);
    - `mean`: the mean of the batch;
    - `zero`: zeros, as if there were none.
    """

    intent_control = OWN
    training: bool

    def controls(self, config: Any) -> bool:
        """Whether this configuration reads intents when it ranks."""
        return True

    def exchanged(self, intents: Tensor) -> Tensor:
        """Intents (B, ...) of a batch, as `intent_control` has it; the user's own in training.

        Raises:
            UserError: `other` in a batch of one user.
        """
        if self.training or self.intent_control == OWN:
            return intents
        if self.intent_control == ZERO:
            return intents.new_zeros(intents.shape)
        if self.intent_control == MEAN:
            return intents.mean(dim=0, keepdim=True).expand_as(intents)
        if len(intents) == 1:
            raise UserError(
                "intent_control: other: a batch has a single user; give another --eval_batch_size"
            )
        return intents.roll(1, dims=0)


def set_intent_control(model: Any, config: Any) -> None:
    """Make a model rank as `intent_control` says.

    Raises:
        UserError: the model, or this configuration of it, ranks without intents.
    """
    control = config["intent_control"]
    if control in (None, OWN):
        return
    if not isinstance(model, ControlsIntents) or not model.controls(config):
        raise UserError(
            f"intent_control: {control}: {config['model']}, as configured, ranks without intents"
        )
    model.intent_control = control
