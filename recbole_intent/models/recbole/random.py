"""RecBole's Random, with one score per pair instead of one per call."""

import torch
from recbole.model.general_recommender.random import Random as RecBoleRandom
from torch import Tensor

from recbole_intent.modeling.reference import PredictsAsItRanks, is_recboles

# SplitMix64 (Steele, Lea and Flood, 2014), in signed integers because torch lacks unsigned ones.
_GAMMA, _MIX_1, _MIX_2 = (
    constant - 2**64 for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


class Random(PredictsAsItRanks, RecBoleRandom):
    """A uniform score in [0, 1) for each pair of user and item, determined by the seed.

    RecBole draws one list for all users of an evaluation batch, so that its variance depends on
    `eval_batch_size`, and draws again on each call, so an evaluation cannot be repeated.

    Args:
        config: with `seed`, and `reference`: `ours`, or `recbole` for RecBole's draws.
        dataset: the training split.
    """

    def __init__(self, config, dataset) -> None:
        state = torch.get_rng_state()
        super().__init__(config, dataset)
        self.as_recbole = is_recboles(config)
        self.seed = config["seed"]
        if not self.as_recbole:
            torch.set_rng_state(state)  # RecBole's constructor seeds the whole process

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores (B * V,) float64 of all items."""
        if self.as_recbole:
            return super().full_sort_predict(interaction)
        user = interaction[self.USER_ID].to(self.device)
        item = torch.arange(self.n_items, device=self.device)
        number = (self.seed + 1) * _GAMMA % 2**63 + user[:, None] * self.n_items + item  # (B, V)
        return (_shifted(_mixed(number), 11).double() / 2**53).flatten()


def _mixed(x: Tensor) -> Tensor:
    """SplitMix64's output for the states `x`, int64 of any shape; products wrap."""
    x = x * _GAMMA
    x = (x ^ _shifted(x, 30)) * _MIX_1
    x = (x ^ _shifted(x, 27)) * _MIX_2
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """`x` as unsigned integers, shifted to the right."""
    return (x >> bits) & (2 ** (64 - bits) - 1)
