"""How RLMRec aligns learned vectors with those of texts."""

import torch.nn.functional as F
from torch import Tensor, nn

from recbole_intent.nn.losses import linear_cross_entropy


def text_mlp(d: int, width: int, *, generative: bool) -> nn.Sequential:
    """The MLP m: from texts to learned vectors, or back if `generative`.

    Args:
        d: width of learned vectors.
        width: D, of texts.
        generative: from d to D; else from D to d. The layer between has (d + D) / 2 units.
    """
    first, last = (d, width) if generative else (width, d)
    middle = (first + last) // 2
    layers = nn.Linear(first, middle), nn.Linear(middle, last)
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
    return nn.Sequential(layers[0], nn.LeakyReLU(), layers[1])


def agreement(x: Tensor, table: Tensor, own: Tensor, temperature: float) -> Tensor:
    """InfoNCE, with cosines, of x (N, d) to its rows `own` (N,) of a table (M, d), against all M.

    Source: RLMRec's released code.
    """
    x, table = F.normalize(x, dim=1), F.normalize(table, dim=1)
    return linear_cross_entropy(x, table, own, temperature=temperature)
