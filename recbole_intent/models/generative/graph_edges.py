"""Selection of the edges of the user-item graph."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_intent.utils.errors import UserError

# The released graph is built from a random split of the reviews that have texts: about 45 % of all
# interactions, including some of validation and test.
_PUBLISHED_SHARE = 0.45


def graph_edges(config: Any, dataset: Any) -> tuple[Tensor, Tensor]:
    """Users (P,) and items (P,) of the edges.

    Args:
        config: `graph_edges`: `train`, the training interactions; `any`, a seeded random 45 % of
            all interactions, as released, which leaks some users' test items; `auto`: by
            `protocol`.
        dataset: the training split.

    Raises:
        UserError: a choice that is not possible in this run.
    """
    kind = config["graph_edges"]
    if kind == "auto":
        kind = "any" if config["protocol"] == "published" else "train"
    if kind == "train":
        pairs = dataset.inter_matrix(form="coo")
        return torch.from_numpy(pairs.row).long(), torch.from_numpy(pairs.col).long()
    if not config["fast_sequences"]:
        raise UserError("graph_edges: any needs fast_sequences: True")
    rng = np.random.default_rng(config["seed"])
    chosen = torch.from_numpy(rng.random(len(dataset.clean_items)) < _PUBLISHED_SHARE)
    return dataset.clean_users[chosen], dataset.clean_items[chosen]
