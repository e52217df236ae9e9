"""Initial weights: as in RecBole's Transformer models, and from given vectors."""

import torch
from torch import Tensor, nn


def init_normal(model: nn.Module, std: float) -> None:
    """Draw linear and embedding weights from N(0, `std`²), and set the biases of linears to 0.

    The rows of padding are drawn too, as RecBole does.
    """

    def one(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    model.apply(one)


@torch.no_grad()
def fill_columns(table: nn.Embedding, vectors: Tensor, rows: Tensor | None = None) -> None:
    """Start a table (V, d) from vectors of width w <= d; the other columns stay as they are.

    Args:
        table: changed in its first w columns.
        vectors: (n, w).
        rows: (n,) the rows to change; None: all, n = V.
    """
    places = slice(None) if rows is None else rows
    table.weight[places, : vectors.size(1)] = vectors.to(table.weight)


def principal_components(vectors: Tensor, width: int) -> tuple[Tensor, float]:
    """Project vectors (n, D) to their first `width` < D principal components.

    Returns:
        (n, width) float32 centred scores, each component with its largest weight positive, so
        that signs are the same everywhere; and the share of the variance that they keep.
    """
    centred = vectors.double() - vectors.double().mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    chosen = directions[:, -width:].flip(1)  # (D, width)
    largest = chosen.gather(0, chosen.abs().argmax(dim=0, keepdim=True))
    kept = float(variances[-width:].sum() / variances.sum().clamp_min(1e-300))
    return (centred @ (chosen * largest.sign())).float(), kept
