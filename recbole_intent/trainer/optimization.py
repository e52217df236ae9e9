"""Optimizers, learning-rate schedules, the moving average of weights, and label smoothing."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from recbole.model.abstract_recommender import AbstractRecommender
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from recbole_intent.utils.errors import UserError

OPTIMIZERS = {
    "adam": torch.optim.Adam,  # weight_decay is an L2 penalty, part of the gradient
    "adamw": torch.optim.AdamW,  # weight_decay shrinks all weights directly (decoupled)
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
}


@dataclass(frozen=True)
class Schedule:
    """Learning rate as a function of the epochs done, so that a resumed run needs no state.

    It rises linearly in the first `warmup` epochs and reaches `peak` with their last step. Then it
    stays there (`constant`), or falls until the end of the last epoch to `least`, linearly or along
    half a cosine wave.

    Attributes:
        kind: constant, linear or cosine.
        peak: the highest rate.
        epochs: length of the schedule, > `warmup`.
        warmup: epochs of the rise, >= 0; fractions count.
        least: rate at the end, 0 <= `least` <= `peak`.
        by_epoch: the rate changes only between epochs.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR
    2017, equation (5), for the cosine.
    """

    kind: str
    peak: float
    epochs: float
    warmup: float = 0.0
    least: float = 0.0
    by_epoch: bool = False

    def rate(self, done: float, step: float) -> float:
        """Rate of the step that starts after `done` epochs and takes `step` of one."""
        if self.by_epoch:
            done, step = math.floor(done), 1.0
        if done < self.warmup:
            return self.peak * min(1.0, (done + step) / self.warmup)
        if self.kind == "constant":
            return self.peak
        share = (done - self.warmup) / (self.epochs - self.warmup)
        left = 1 - share if self.kind == "linear" else (1 + math.cos(math.pi * share)) / 2
        return self.least + (self.peak - self.least) * left


class Average:
    """Exponential moving average of weights.

    After step n = 1, 2 …, average = d * average + (1 - d) * weight, with d = min(decay,
    (1 + n) / (10 + n)): the smaller d at the start soon forgets the initial weights.

    Args:
        weights: the weights, whose current values are the first average.
        decay: 0 < decay < 1.
    """

    def __init__(self, weights: Iterable[torch.Tensor], decay: float) -> None:
        self._weights = list(weights)
        self._averages = [weight.detach().clone() for weight in self._weights]
        self._decay, self._steps = decay, 0

    def update(self) -> None:
        """Include the current weights, after a step of the optimizer."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        get_ema_multi_avg_fn(decay)(self._averages, self._weights, self._steps)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """A context in which the model has the averages as its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        # By copying: flattened weights of RNNs must keep their memory.
        for weight, average in zip(self._weights, self._averages, strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)

    def state(self) -> dict[str, Any]:
        """The number of steps and the averages, for `load_state`."""
        return {"steps": self._steps, "averages": self._averages}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a state.

        Raises:
            ValueError, RuntimeError, KeyError: it is of other weights.
        """
        for average, kept in zip(self._averages, state["averages"], strict=True):
            average.copy_(kept)
        self._steps = state["steps"]


def smooth_labels(model: AbstractRecommender, name: str, amount: float) -> None:
    """Make a model's cross-entropy over items smooth its labels.

    Args:
        model: one with an attribute `label_smoothing`, which its loss reads; or one of RecBole's
            with `loss_type: CE`, whose loss is `loss_fct`.
        name: of the model, for the message.
        amount: the share of each label that is spread evenly over all items.

    Raises:
        UserError: the model has no such loss.
    """
    loss = getattr(model, "loss_fct", None)
    is_sampled = hasattr(model, "negative_sampler")
    if hasattr(model, "label_smoothing") and model.loss_type == "CE" and not is_sampled:
        model.label_smoothing = amount
    elif isinstance(loss, nn.CrossEntropyLoss) and not is_sampled:
        loss.label_smoothing = amount
    else:
        raise UserError(
            f"label_smoothing: {name} is not trained with cross-entropy over all items here; leave "
            "it out, or use a model with loss_type: CE and without a sampled softmax"
        )
