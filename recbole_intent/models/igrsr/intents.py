"""IGR-SR's projection of distilled intents to the reasoner's space, and their masked views."""

from typing import Literal

from torch import Tensor, nn

from recbole_intent.nn.dropout import kept_share, random_keep


class IntentProjection(nn.Sequential):
    """T_D = f(T_l): Linear(d_l, d), GELU, Linear(d, d), and an optional LayerNorm.

    Args:
        distiller_size: d_l, width of the distiller.
        hidden_size: d, width of the reasoner.
        norm: "none", or "layer", which gives T_D the scale of the states that attend to it from
            the first step. Without it, with small initial weights, T_D starts 100 times smaller.
        layer_norm_eps: epsilon of that LayerNorm.

    Shapes: T_l (..., m, d_l) -> T_D (..., m, d).

    Source: IGR-SR, equation (4); "a lightweight MLP", whose depth the paper leaves open.
    """

    def __init__(
        self,
        distiller_size: int,
        hidden_size: int,
        norm: Literal["none", "layer"] = "none",
        layer_norm_eps: float = 1e-12,
    ) -> None:
        super().__init__(
            nn.Linear(distiller_size, hidden_size),
            nn.GELU(),
            nn.Linear(hidden_size, hidden_size),
            *([nn.LayerNorm(hidden_size, eps=layer_norm_eps)] if norm == "layer" else []),
        )


def mask_intents(T_D: Tensor, p_mask: float, rescale: bool = False) -> Tensor:
    """One randomly masked view of the intents: T_D * M, elementwise.

    M in {0, 1}^(m x d) is drawn for each sequence. If each position has its own intents
    (B, n, m, d), the positions of one sequence share its M, whose size is m x d as printed.

    Args:
        T_D: (B, m, d) or (B, n, m, d) projected intents.
        p_mask: P(M = 0), in [0, 1]; the paper searches 0.1 .. 0.8. On a CPU it is rounded to the
            nearest 1/256.
        rescale: divide by the share that M keeps, as dropout does, so that the expected view is
            T_D itself. The paper does not: its views are smaller than T_D at test time.

    Returns:
        The view, with the shape of `T_D`.

    Source: IGR-SR, equation (8).
    """
    B, (m, d) = len(T_D), T_D.shape[-2:]
    shape = (B, m, d) if T_D.dim() == 3 else (B, 1, m, d)
    keep = random_keep(shape, p_mask, dtype=T_D.dtype, device=T_D.device)
    share = kept_share(p_mask) if T_D.device.type == "cpu" else 1 - p_mask
    return T_D * (keep / share if rescale and share else keep)
