"""ICLRec: SASRec with contrast of random views and of intents."""

from typing import Any

from torch import Tensor

from recbole_intent.modeling.pooled import PooledIntents, unit
from recbole_intent.models.sasrec.model import SASRec
from recbole_intent.nn.kmeans import nearest_centre


class ICLRec(PooledIntents, SASRec):
    """Intent Contrastive Learning for Sequential Recommendation (Chen et al., WWW 2022).

    | symbol | shape | meaning |
    |---|---|---|
    | B, N, n, d | | rows, targets, items of a row, width: `hidden_size` |
    | K | | intents: `num_clusters` |
    | H | (B, n, d) | SASRec's states of histories; an item's score at position t is H_t . e_item |
    | s | (B, d) | the mean of H over a history's items |
    | H', H'' | (B, n, d) | states of two random views: crop, mask or reorder; s', s'' their means |
    | C | (K, d) | k-means centres of s over all users' training histories, at an epoch's start |
    | c | (B, d) | the centre nearest to s, scaled to length 1 |

    Loss: next-item loss + `instance_weight` * NT(H', H'') + `intent_weight` * ½ (NT(s', c)
    + NT(s'', c)). NT is InfoNCE over the 2 B vectors of both arguments, each against all others; H
    is concatenated over positions. With `mask_false_negatives` rows of one cluster are no
    negatives of each other in the second contrast (the paper; the authors' scripts do not).

    Next-item loss: binary cross-entropy against one random item at every position
    (`next_item_loss: BCE`), which is what a shared pass of all targets of a history computes
    (`passes: 1`).

    Deviations from the released code: means and concatenations leave padding out (there: states
    of padding count too); both contrasts share the pass of the views; the first contrast never
    masks (there, the option masks users with the same validation item, which looks at
    validation); masked items are zero vectors that are attended to; negatives may be items of the
    user's own history; a batch has `train_batch_size` targets, not rows, of similar length.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.prepare_views(config)
        self.prepare_centres(config)
        weights = {"instance": self.instance_weight, "intent": self.intent_weight}
        self.loss_names = ("rec", *(name for name, weight in weights.items() if weight))

    @property
    def uses_centres(self) -> bool:
        """Whether there is a contrast with centres."""
        return self.intent_weight > 0

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`."""
        h, target, s, last = self.encode_batch(interaction)
        losses = [self.next_item(h, target)]
        if len(self.loss_names) == 1:
            return (losses[0],)
        views = self.views(interaction[self.ITEM_SEQ], last)
        if self.instance_weight:
            losses.append(self.instance_weight * self.instance_contrast(views))
        if self.intent_weight:
            cluster = nearest_centre(s.detach(), self.centres)
            centre = unit(self.centres)[cluster]
            losses.append(self.intent_weight * self.intent_contrast(views, centre, cluster))
        return tuple(losses)
