"""ICSRec: SASRec with coarse and fine contrast of intents."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from recbole_intent.modeling.clustered import ClusteredIntents
from recbole_intent.models.sasrec.model import SASRec
from recbole_intent.nn.kmeans import nearest_centre
from recbole_intent.nn.losses import info_nce

# Columns of a batch, one row per target: a history with the same target item, and its length.
SIBLING, SIBLING_LENGTH = "sibling_list", "sibling_length"


class ICSRec(ClusteredIntents, SASRec):
    """Intent Contrastive Learning with Cross Subsequences (Qin et al., WSDM 2024).

    | symbol | shape | meaning |
    |---|---|---|
    | B, n, d | | targets of a batch, items of a history, width: `hidden_size` |
    | K | | intents: `num_clusters` |
    | h | (B, d) | SASRec's last states of histories; an item's score is h . e_item |
    | h', h'' | (B, d) | the same histories with other dropout; others that have the same target |
    | C | (K, d) | k-means centres of h over all training prefixes, of the epoch's first weights |
    | c(h) | (B, d) | the nearest centre of h, scaled to length 1 |

    Loss: CE(h) over all items + `coarse_weight` * NT(h', h''; target)
    + `fine_weight` * (NT(h', c(h'); cluster) + NT(h'', c(h''); cluster)).

    NT(x, y; class) is InfoNCE over the 2 B vectors of x and y: x_i and y_i are each other's
    positive, and all vectors of other classes are negatives (`mask_false_negatives: True`; False:
    all other vectors). Dynamic segmentation makes every prefix of a user a training sequence, which
    is what the data of this package are anyway: validation and test items are never targets.

    Deviations from the released code: the sibling h'' is drawn again in each epoch (there: always
    the last one in the file that differs); ranking leaves items of the history out with
    `mask_history: True` (there: their score is 0). Positions count from the last item, as in the
    release, whose histories are padded on the left (`positions: end`). With `passes: 1`, which
    shares passes, they count from the last item of the pass, and targets of a pass share dropout.

    A batch without the columns `SIBLING` and `SIBLING_LENGTH`, which `ICSRecTrainer` adds, has each
    history as its own sibling.
    """

    clusters_prefixes = True

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.coarse_weight = float(config["coarse_weight"])
        self.fine_weight = float(config["fine_weight"])
        self.masks = config["mask_false_negatives"]
        self.contrast = {"temperature": config["temperature"], "similarity": config["similarity"]}
        weights = {"coarse": self.coarse_weight, "fine": self.fine_weight}
        self.loss_names = ("rec", *(name for name, weight in weights.items() if weight))
        self.prepare_centres(config)

    @property
    def uses_centres(self) -> bool:
        """Whether there is a fine contrast."""
        return self.fine_weight > 0

    def sequence_vectors(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """h (B, d) of histories (B, n) of length (B,)."""
        return self.forward(item_seq, item_seq_len)

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The weighted terms listed in `loss_names`; each is a mean over the batch's targets."""
        h, target = self.encode_targets(interaction)
        losses = [self.cross_entropy(h, target)]
        if len(self.loss_names) == 1:
            return (losses[0],)
        first, _ = self.encode_targets(interaction)
        if SIBLING in interaction:
            second = self.forward(interaction[SIBLING], interaction[SIBLING_LENGTH])
        else:
            second, _ = self.encode_targets(interaction)
        if self.coarse_weight:
            losses.append(self.coarse_weight * self._contrast(first, second, target))
        if self.fine_weight:
            losses.append(self.fine_weight * (self._fine(first) + self._fine(second)))
        return tuple(losses)

    def _fine(self, h: Tensor) -> Tensor:
        cluster = nearest_centre(h.detach(), self.centres)
        return self._contrast(h, F.normalize(self.centres, dim=1)[cluster], cluster)

    def _contrast(self, view_1: Tensor, view_2: Tensor, group: Tensor) -> Tensor:
        return info_nce(
            view_1,
            view_2,
            group=group if self.masks else None,
            symmetric=True,
            within=True,
            **self.contrast,
        )
