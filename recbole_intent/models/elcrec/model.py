"""ELCRec: SASRec with contrast of random views and of learned intents."""

from typing import Any

import torch
from torch import Tensor, nn

from recbole_intent.modeling.pooled import PooledIntents, unit
from recbole_intent.models.sasrec.model import SASRec
from recbole_intent.nn.kmeans import nearest_centre


class ELCRec(PooledIntents, SASRec):
    """End-to-end Learnable Clustering for Intent Learning (Liu et al., NeurIPS 2024).

    | symbol | shape | meaning |
    |---|---|---|
    | B, N, n, d | | rows, targets, items of a row, width: `hidden_size` |
    | K | | intents: `num_clusters` |
    | H | (B, n, d) | SASRec's states of histories; an item's score at position t is H_t . e_item |
    | s | (B, d) | the mean of H over a history's items, scaled to length 1 |
    | H', H'' | (B, n, d) | states of two random views: crop, mask or reorder; s', s'' their means |
    | C | (K, d) | centres of length 1, learned; k-means before the first epoch initialises them |
    | c | (B, d) | the centre nearest to s |

    Loss: next-item loss + `instance_weight` * NT(H' ∘ C, H'' ∘ C) + `intent_weight` * ½ (NT(s', c)
    + NT(s'', c)) + `cluster_weight` * (mean_ik ‖s_i - C_k‖² - mean_kl ‖C_k - C_l‖²).

    NT is as in ICLRec, InfoNCE over the 2 B vectors of both arguments. H ∘ C adds to each state the
    nearest centre (`prototype: shift`) or appends it (`concat`). The last term pulls histories
    towards all centres and pushes the centres apart; gradients reach the centres through all three
    terms, and every batch scales them to length 1 again.

    Deviations from the released code: as ICLRec's: padding is left out of means and
    concatenations, both contrasts share the pass of the views, masked items are zero vectors,
    negatives may be items of the user's history, batches are counted in targets.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.prepare_views(config)
        self.cluster_weight = float(config["cluster_weight"])
        self.prototype = config["prototype"]
        start = torch.randn(config["num_clusters"], config["hidden_size"])
        self.centres = nn.Parameter(unit(start), requires_grad=self.uses_centres)
        weights = {
            "instance": self.instance_weight,
            "intent": self.intent_weight,
            "cluster": self.cluster_weight,
        }
        self.loss_names = ("rec", *(name for name, weight in weights.items() if weight))

    @property
    def uses_centres(self) -> bool:
        """Whether a term of the loss has centres."""
        uses_prototype = bool(self.instance_weight) and self.prototype != "none"
        return uses_prototype or self.intent_weight > 0 or self.cluster_weight > 0

    def needs_e_step(self, epoch: int) -> bool:
        """K-means initialises the centres, once."""
        return self.uses_centres and epoch == 0

    def set_centres(self, centres: Tensor) -> None:
        """Initialise the centres (K, d), scaled to length 1."""
        super().set_centres(unit(centres))

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`."""
        super().set_centres(unit(self.centres.detach()))
        h, target, mean, last = self.encode_batch(interaction)
        losses = [self.next_item(h, target)]
        if self.instance_weight or self.intent_weight:
            views = self.views(interaction[self.ITEM_SEQ], last)
        if self.instance_weight:
            with_centres = [(self._with_centre(states), length) for states, length in views]
            losses.append(self.instance_weight * self.instance_contrast(with_centres))
        s = unit(mean)
        if self.intent_weight:
            cluster = nearest_centre(s.detach(), self.centres.detach())
            contrast = self.intent_contrast(views, self.centres[cluster], cluster)
            losses.append(self.intent_weight * contrast)
        if self.cluster_weight:
            losses.append(self.cluster_weight * cluster_loss(s, self.centres))
        return tuple(losses)

    def _with_centre(self, states: Tensor) -> Tensor:
        if self.prototype == "none":
            return states
        nearest = self.centres[nearest_centre(states.detach(), self.centres.detach())]
        return states + nearest if self.prototype == "shift" else torch.cat([states, nearest], -1)


def cluster_loss(s: Tensor, centres: Tensor) -> Tensor:
    """Mean squared distance of vectors and centres, minus that of all pairs of centres.

    Args:
        s: (B, d).
        centres: (K, d).

    Returns:
        Scalar.

    Source: ELCRec, its clustering loss; the mean over pairs includes those of a centre and itself,
    as in the released code.
    """
    # The mean of ‖x - y‖² over all pairs is mean ‖x‖² + mean ‖y‖² - 2 (mean x) . (mean y).
    size, mean = centres.pow(2).sum(dim=1).mean(), centres.mean(dim=0)
    to_centres = s.pow(2).sum(dim=1).mean() + size - 2 * s.mean(dim=0) @ mean
    return to_centres - 2 * (size - mean @ mean)
