"""Checkpoints: tensors and plain containers in a file that is whole or not there."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from recbole_intent.errors import UserError
from recbole_intent.files import atomic_write

# Tags of what RecBole's counting models keep (`other_parameter`) and `weights_only` cannot hold.
_ARRAY, _SPARSE = "numpy array", "scipy matrix"

# What torch raises at files that are not, or not wholly, its own.
_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    pickle.PickleError,
)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: of the file.
        state: tensors, numbers, strings, arrays, sparse matrices, and containers of these. Modules
            are left out: their weights are in the model's `state_dict`.

    Raises:
        UserError: it cannot be written (no space, no permission); an older one is as it was.
    """
    with atomic_write(path) as temporary:
        try:
            torch.save(_encode(state), temporary)
        except RuntimeError as error:
            # torch hides what the system said, and fails on closing the file for a second time.
            raise OSError(f"no space left? ({str(error).splitlines()[0]})") from error


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; nothing in the file is executed.

    Raises:
        UserError: absent, cut short, or not such a file.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such checkpoint") from error
    except _UNREADABLE as error:
        raise UserError(f"{path}: not a readable checkpoint; --fresh starts anew") from error
    if not isinstance(state, dict) or "state_dict" not in state:
        raise UserError(f"{path}: not a checkpoint of this package")
    return _decode(state)


def _encode(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _encode(v) for k, v in value.items() if not isinstance(v, nn.Module)}
    if isinstance(value, list | tuple):
        return type(value)(_encode(item) for item in value)
    if sp.issparse(value):
        coo = value.tocoo()
        parts = [torch.from_numpy(np.asarray(part)) for part in (coo.row, coo.col, coo.data)]
        return {_SPARSE: value.format, "shape": tuple(map(int, value.shape)), "parts": parts}
    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(np.ascontiguousarray(value))}
    return value.item() if isinstance(value, np.generic) else value


def _decode(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return value[_ARRAY].cpu().numpy()
    if _SPARSE in value:
        row, col, data = (part.cpu().numpy() for part in value["parts"])
        return sp.coo_matrix((data, (row, col)), shape=value["shape"]).asformat(value[_SPARSE])
    return {key: _decode(item) for key, item in value.items()}
