"""Item tables that start from pretrained vectors (`item_vectors`), of any model that has one."""

import logging
from typing import Any

import torch
from recbole.data.dataset import Dataset
from torch import nn

from recbole_intent.data.formats.item_vectors import matched_vectors, start_file
from recbole_intent.nn.initialization import fill_columns, principal_components
from recbole_intent.utils.errors import UserError

_PLACES = ("item_embedding", "backbone.item_embedding", "item_encoder.item_embedding")


def item_table(model: nn.Module, n_items: int) -> nn.Embedding | None:
    """The model's table of at least `n_items` item vectors; None if it has none."""
    modules = dict(model.named_modules())
    tables = (modules.get(place) for place in _PLACES)
    return next(
        (t for t in tables if isinstance(t, nn.Embedding) and t.num_embeddings >= n_items), None
    )


def start_items(model: nn.Module, config: Any, dataset: Dataset) -> dict[str, Any] | None:
    """Start a model's item table from the file that `item_vectors` names.

    Vectors wider than the table are reduced to its width by PCA; narrower ones fill its first
    columns. Items without a vector keep their random start.

    Args:
        model: as constructed.
        config: of the run.
        dataset: with the ids of the items.

    Returns:
        What was done, for the result: `file`, `items`, `missing`, `how`, `frozen`; None without
        a file.

    Raises:
        UserError: no item table, an unusable file, or vectors that cannot be frozen.
    """
    path, frozen = start_file(config), bool(config["item_vectors_frozen"])
    if path is None:
        if frozen:
            raise UserError("item_vectors_frozen: needs item_vectors: FILE")
        return None
    table = item_table(model, dataset.item_num)
    if table is None:
        raise UserError(f"item_vectors: {config['model']} has no table of item vectors to start")
    places, matched = matched_vectors(path, dataset.field2id_token[dataset.iid_field])
    vectors, width = torch.from_numpy(matched), table.embedding_dim
    count, missing = len(places), dataset.item_num - 1 - len(places)
    how = f"{vectors.size(1)} dimensions"
    if vectors.size(1) > width:
        vectors, kept = principal_components(vectors, width)
        how += f", reduced to {width} by PCA ({kept:.0%} of the variance)"
    elif vectors.size(1) < width:
        how += f", the first of {width} columns"
    fill_columns(table, vectors, torch.from_numpy(places))
    if frozen:
        why = {
            f"{missing} of {dataset.item_num - 1} items have no vector": missing > 0,
            f"the vectors fill {vectors.size(1)} of {width} columns": vectors.size(1) < width,
            "the item table also holds a mask": table.num_embeddings > dataset.item_num,
        }
        if any(why.values()):
            reason = next(text for text, holds in why.items() if holds)
            raise UserError(f"item_vectors_frozen: {reason}, which would never learn; leave it out")
        table.weight.requires_grad_(False)
    logging.getLogger("recbole_intent").info(
        "item_vectors: %d items start from %s (%s%s); %d start at random",
        count, path, how, ", frozen" if frozen else "", missing,
    )  # fmt: skip
    return {"file": str(path), "items": count, "missing": missing, "how": how, "frozen": frozen}
