"""Atomic reading and writing of checkpoints that contain tensors and plain containers."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.own_files import checked, damaged

# Required in every checkpoint; weights given by path need nothing else.
WEIGHTS = {"state_dict": dict}

# Tags for values of RecBole's counting models (`other_parameter`) that `weights_only` rejects.
_ARRAY, _SPARSE = "numpy array", "scipy matrix"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: path of the file.
        state: tensors, numbers, strings, arrays, sparse matrices, and containers of these. Modules
            are skipped: their weights are in the model's `state_dict`.

    Raises:
        UserError: it cannot be written (no space, no permission); an older file stays unchanged.
    """
    with atomic_write(path) as temporary:
        try:
            torch.save(_encode(state), temporary)
        except RuntimeError as error:
            # torch hides the system's message and fails a second time when closing the file.
            raise OSError(f"no space left? ({str(error).splitlines()[0]})") from error


def load_checkpoint(
    path: Path,
    device: torch.device | str = "cpu",
    *,
    keys: Mapping[str, Any] = WEIGHTS,
    remedy: str = "give another file",
) -> dict[str, Any]:
    """Read a checkpoint written by `save_checkpoint`, without executing anything in it.

    Args:
        path: path of the file.
        device: device of the tensors.
        keys: name -> type of the required entries.
        remedy: remedy named in the error if the file is damaged.

    Raises:
        UserError: missing, truncated, or not a checkpoint.
    """
    if path.is_dir():
        raise damaged(path, "is a folder, where a file must be", "move it away")
    try:
        _refuse_changed_bytes(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise damaged(path, "no such checkpoint", remedy) from error
    except Exception as error:  # damaged bytes raise any error of torch, zipfile and pickle
        raise damaged(path, "not a readable checkpoint", remedy) from error
    state = checked(path, state, keys, remedy)
    if not all(isinstance(value, torch.Tensor) for value in state["state_dict"].values()):
        raise damaged(path, "not a checkpoint of this package", remedy)
    try:
        return _decode(state)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, "not a checkpoint of this package", remedy) from error


def _refuse_changed_bytes(path: Path) -> None:
    """Raise BadZipFile if a part of a zip archive has another checksum; torch does not compare."""
    if zipfile.is_zipfile(path):  # torch also reads an older form, which has no checksums
        with zipfile.ZipFile(path) as archive:
            if (name := archive.testzip()) is not None:
                raise zipfile.BadZipFile(name)


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
