"""Functions of a batch's rows computed for a few rows at a time, to bound memory."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Numbers that a strip may hold: 64 MiB of float32 on a CPU, 1 GiB on an accelerator.
_CPU_NUMBERS = 2**24
_ACCELERATOR_NUMBERS = 2**28


def in_strips(
    function: Callable[..., Tensor], *rows: Tensor, width: int, strip_rows: int | None = None
) -> Tensor:
    """`function(*rows)`, computed for a few rows at a time.

    The backward pass computes each strip again, so neither pass holds intermediate values of more
    than one strip. Gradients reach `rows` and all that the function refers to.

    Args:
        function: maps (c, ...) tensors to (c, ...), each row independently and without random
            draws; called once or twice per strip.
        rows: (B, ...) tensors, B >= 1.
        width: numbers that the function holds per row.
        strip_rows: rows per strip, >= 1. None: chosen for the device.

    Returns:
        (B, ...)
    """
    if strip_rows is None:
        budget = _CPU_NUMBERS if rows[0].device.type == "cpu" else _ACCELERATOR_NUMBERS
        strip_rows = max(1, budget // width)
    parts = []
    for strip in zip(*(tensor.split(strip_rows) for tensor in rows), strict=True):
        if torch.is_grad_enabled():
            parts.append(
                checkpoint(function, *strip, use_reentrant=False, preserve_rng_state=False)
            )
        else:
            parts.append(function(*strip))
    return torch.cat(parts)
