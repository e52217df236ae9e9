"""XSimGCL: LightGCN with noisy layers and cross-layer contrast."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_intent.models.lightgcn.model import LightGCN
from recbole_intent.nn.losses import info_nce


class XSimGCL(LightGCN):
    """Extremely Simple Graph Contrastive Learning (Yu et al., TKDE 2023).

    | symbol | shape | meaning |
    |---|---|---|
    | U, V, d | | users, items, width: `embedding_size`; N = U + V nodes |
    | L, l* | | `n_layers`, `contrast_layer` |
    | A | (N, N) | normalised graph of the training interactions |
    | E_0 | (N, d) | learned vectors of users and items |
    | E_l | (N, d) | A E_{l-1}, in training plus noise, l = 1 .. L |
    | E | (N, d) | the mean of E_1 .. E_L, without E_0; a score is E_user . E_item |

    Noise: sign(A E_{l-1}) ⊙ u, where each row of u has length ε (`noise_size`) and is drawn from
    the positive orthant, so that a vector stays in its own. The same pass gives both views.

    Loss: BPR of E + `reg_weight` * (‖E_users‖ + ‖E_items‖) / B + `contrast_weight` * (InfoNCE of
    E and E_l* over the batch's distinct users + the same over its distinct positive items), with
    cosines, temperature τ, and negatives in the batch.

    Deviations from the released code: negatives of BPR are RecBole's; none else is known.

    Args:
        config: with the keys of `properties/model/XSimGCL.yaml`.
        dataset: the training split.

    Raises:
        UserError: torch-geometric is not installed.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.noise_size = float(config["noise_size"])
        self.contrast_weight = float(config["contrast_weight"])
        self.contrast_layer = config["contrast_layer"]
        self.temperature = config["temperature"]
        self.loss_names = ("rec", "reg", *(("contrast",) if self.contrast_weight else ()))

    def forward(self) -> tuple[Tensor, Tensor]:
        """E of all users (U, d) and of all items (V, d), without noise."""
        mean = torch.stack(self.layers(noisy=False)).mean(dim=0)
        return mean.split([self.n_users, self.n_items])

    def layers(self, *, noisy: bool) -> list[Tensor]:
        """E_1 .. E_L, each (N, d), with newly drawn noise if `noisy`."""
        layer, layers = self.get_ego_embeddings(), []
        for _ in range(self.n_layers):
            layer = self.propagation.step(layer)
            if noisy and self.noise_size:
                noise = F.normalize(torch.rand_like(layer), dim=1)
                layer = layer + self.noise_size * layer.sign() * noise
            layers.append(layer)
        return layers

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`."""
        self.restore_user_e = self.restore_item_e = None  # of an evaluation
        user, item = interaction[self.USER_ID], interaction[self.ITEM_ID]
        sizes = [self.n_users, self.n_items]
        layers = self.layers(noisy=True)
        users, items = torch.stack(layers).mean(dim=0).split(sizes)
        u, positive, negative = users[user], items[item], items[interaction[self.NEG_ITEM_ID]]
        losses = [
            self.mf_loss((u * positive).sum(dim=1), (u * negative).sum(dim=1)),
            self.reg_weight * self.reg_loss(u, positive, require_pow=self.require_pow).squeeze(),
        ]
        if self.contrast_weight:
            views = layers[self.contrast_layer - 1].split(sizes)
            contrast = sum(
                info_nce(whole[rows], view[rows], self.temperature)
                for whole, view, rows in zip(
                    (users, items), views, (user.unique(), item.unique()), strict=True
                )
            )
            losses.append(self.contrast_weight * contrast)
        return tuple(losses)
