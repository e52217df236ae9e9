"""Shims that let RecBole 1.2.1 run on current numpy, pandas, scipy and torch.

`apply()` installs one small function per breakage. Docstrings refer to the rows of this table:

====  ==========================================================  ===============================
row   breakage                                                    here
====  ==========================================================  ===============================
1     numpy 2 removed `np.float_`, `np.float` … that RecBole      `_restore_numpy_aliases`
      reads
2     `torch.load` refuses RecBole's pickled checkpoints          rule: never patched; our trainer
                                                                  saves tensors and plain values
3     scipy removed `dok_matrix._update`                          `_restore_dok_update`
4     pandas 3: missing `token_seq`/`float_seq` values crash      `_fill_sequences_when_loading`,
                                                                  `_fill_missing_values`
5     pandas 3: missing numbers silently stay NaN                 `_fill_missing_values`
6     `recbole.quick_start` imports ray                           rule: never imported
11    warnings of deprecated names that RecBole still uses        `_hush_recbole_warnings`
13    results hold `np.float64(…)`                                `plain`
14    pandas 3: `Series.agg(len)` is the length of the column,    `_measure_each_sequence`
      so that no `token_seq` field can be loaded
15    importing any sequential model turns on autograd's          `_keep_anomaly_detection_off`
      anomaly detection, which slows training
====  ==========================================================  ===============================

Importing this module is cheap: RecBole and torch are imported by `apply()`.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from recbole_intent.utils.errors import UserError

_NUMPY_ALIASES = {
    "float_": np.float64,
    "complex_": np.complex128,
    "unicode_": np.str_,
    # RecBole's Config sets np.float itself, but an Interaction made without a Config reads it too.
    "float": np.float64,
}


@functools.cache
def apply() -> None:
    """Apply every shim; a second call does nothing.

    Call it before creating the first RecBole `Config`, dataset or model.
    """
    _restore_numpy_aliases()
    _restore_dok_update()
    _fill_sequences_when_loading()
    _fill_missing_values()
    _measure_each_sequence()
    _keep_anomaly_detection_off()
    _hush_recbole_warnings()


def plain(value: Any) -> Any:
    """Return `value` with numpy scalars and arrays turned into plain Python (row 13).

    Mappings become dicts with plain keys; lists, tuples and sets keep their type; anything else is
    returned unchanged.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a namedtuple takes its fields
        return type(value)(*(plain(item) for item in value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(plain(item) for item in value)
    return value


def _restore_numpy_aliases() -> None:
    """Give numpy the removed aliases that RecBole reads (row 1)."""
    for name, scalar_type in _NUMPY_ALIASES.items():
        # vars(), since hasattr() on a removed name raises or warns
        if name not in vars(np):
            setattr(np, name, scalar_type)


def _restore_dok_update() -> None:
    """Give `scipy.sparse.dok_matrix` its `_update` again (row 3).

    LightGCN, NGCF, NCL, GCMC and SpectralCF fill their adjacency matrices with it.
    """
    from scipy.sparse import dok_matrix

    def _update(self: dok_matrix, entries: dict[tuple[int, int], float]) -> None:
        """Set the entries {(row, column): value} without checks."""
        self._dict.update(entries)

    if not hasattr(dok_matrix, "_update"):
        dok_matrix._update = _update


def _fill_sequences_when_loading() -> None:
    """Read a missing `token_seq`/`float_seq` cell as an empty sequence (row 4).

    RecBole's `_load_feat` intends this, but its chained in-place `fillna` changes a copy. The cells
    are filled right after `read_csv`, where the columns still carry their types in their names.
    """
    import pandas as pd
    from recbole.data.dataset.dataset import Dataset

    load_feat = Dataset._load_feat
    read_csv = pd.read_csv

    def read_filled(*args: Any, **kwargs: Any) -> pd.DataFrame:
        frame = read_csv(*args, **kwargs)
        sequences = [name for name in frame.columns if str(name).endswith("_seq")]
        return frame.fillna(dict.fromkeys(sequences, ""))

    @functools.wraps(load_feat)
    def _load_feat(self: Dataset, filepath: str, source: Any) -> pd.DataFrame | None:
        with _swapped(pd, "read_csv", read_filled), warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ChainedAssignmentError)
            return load_feat(self, filepath, source)

    Dataset._load_feat = _load_feat


def _fill_missing_values() -> None:
    """Let RecBole's datasets fill missing values again (rows 4 and 5).

    As RecBole documents it: `[PAD]` for a token, the column's mean for a number, an empty array
    for a sequence.
    """
    from recbole.data.dataset.dataset import Dataset

    Dataset._fill_nan = _fill_nan


def _fill_nan(self: Any) -> None:
    """Fill the missing values of every feature table of this RecBole `Dataset`.

    Raises:
        UserError: a `float` column has no value at all, or a `float_seq` column holds nan.
    """
    from recbole.utils import FeatureType

    for feat_name in self.feat_name_list:
        feat = getattr(self, feat_name)
        file_name = f"{self.dataset_name}.{feat_name.removesuffix('_feat')}"
        for field in list(feat):
            field_type = self.field2type[field]
            column = feat[field]
            if field_type == FeatureType.TOKEN:
                feat[field] = column.fillna(0).astype(np.int64)  # 0 is [PAD]
            elif field_type == FeatureType.FLOAT:
                feat[field] = column.fillna(column.mean())
                if feat[field].isna().any():
                    raise UserError(
                        f"{file_name}: the column {field}:float has no value in any row; "
                        "fill it or leave it out with load_col or unload_col"
                    )
            else:
                kind = np.int64 if field_type == FeatureType.TOKEN_SEQ else np.float64
                empty = np.array([], dtype=kind)
                # a missing cell is a float NaN: no such item in .item, or the [PAD] row
                feat[field] = [empty if isinstance(cell, float) else cell for cell in column]
                if kind is np.float64 and any(np.isnan(cell).any() for cell in feat[field]):
                    raise UserError(
                        f"{file_name}: the column {field}:float_seq holds nan; "
                        "write numbers only, or leave the whole cell empty"
                    )


def _measure_each_sequence() -> None:
    """Let `Series.agg(len)` measure each cell inside RecBole's datasets (row 14).

    RecBole splits concatenated sequences, and measures histories, by the lengths that this call
    gave before pandas 3. Every dataset method that calls `agg` is wrapped. The old meaning applies
    only while these methods run; pandas is otherwise unchanged.
    """
    import pandas as pd
    import recbole.data.dataset as datasets

    agg = pd.Series.agg

    def agg_each(self: pd.Series, func: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self.map(len) if func is len else agg(self, func, *args, **kwargs)

    def with_old_agg(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _swapped(pd.Series, "agg", agg_each):
                return method(*args, **kwargs)

        return wrapped

    for dataset_class in {kind for kind in vars(datasets).values() if isinstance(kind, type)}:
        for name, method in list(vars(dataset_class).items()):
            if "agg" in getattr(getattr(method, "__code__", None), "co_names", ()):
                setattr(dataset_class, name, with_old_agg(method))


def _keep_anomaly_detection_off() -> None:
    """Import RecBole's sequential models without enabling anomaly detection (row 15).

    RecBole's SINE module enables it for the whole process, and the package imports all models.
    """
    import torch

    before = torch.is_anomaly_enabled()
    importlib.import_module("recbole.model.sequential_recommender")
    torch.autograd.set_detect_anomaly(before)


def _hush_recbole_warnings() -> None:
    """Ignore warnings that only a change in RecBole could remove (row 11).

    Two concern deprecated names that still work: `torch.sparse.FloatTensor` in the graph models and
    `torch.cuda.amp.GradScaler` in the trainer. The third concerns tensors made from pandas 3's
    read-only columns, which is safe here because the data frame is dropped at once.
    """
    warnings.filterwarnings("ignore", r"torch\.sparse\.SparseTensor", UserWarning)
    warnings.filterwarnings(
        "ignore", r".*torch\.cuda\.amp\.GradScaler", FutureWarning, r"recbole\."
    )
    warnings.filterwarnings(
        "ignore", "The given NumPy array is not writable", UserWarning, r"recbole\.data\."
    )


@contextmanager
def _swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set `owner.name` to `value` inside the block and restore it afterwards."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
