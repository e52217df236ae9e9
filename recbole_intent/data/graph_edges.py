"""Which interactions are edges of the graph of users and items (ISRF)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_intent.errors import UserError

# The released graph is made of a random split of the reviews that have texts: some 45 % of all
# interactions, validation's and test's among them.
_PUBLISHED_SHARE = 0.45


def graph_edges(config: Any, dataset: Any) -> tuple[Tensor, Tensor]:
    """Users (P,) and items (P,) of the edges.

    Args:
        config: `graph_edges`: `train`, the training interactions; `any`, a seeded random 45 % of
            all interactions, as released, which tells some users' test items; `auto`: by
            `protocol`.
        dataset: the training split.

    Raises:
        UserError: a kind that this run cannot have.
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
