"""Approximate search for the best items by vector, for catalogues of millions (optional: faiss)."""

import math

import numpy as np
import torch
from torch import Tensor

from recbole_intent.utils.errors import UserError

# Up to this many items the search is exact; above, only the nearest cells are searched.
EXACT_UP_TO = 100_000
# Approximate number of k-means training points per cell; faiss advises at least 39.
_POINTS_PER_CELL = 64
# Share of the cells that a search visits; recall and time both grow with it.
_SHARE_VISITED = 1 / 32


class ItemIndex:
    """Finds the items whose vectors have the largest inner product with a user's vector.

    Args:
        table: (V, d) item vectors; row 0 is padding and never returned.
        exact_up_to: compare all items up to this many of them.

    Raises:
        UserError: faiss is not installed.
    """

    def __init__(self, table: Tensor, exact_up_to: int = EXACT_UP_TO) -> None:
        try:
            import faiss
        except ImportError as error:
            raise UserError(
                "--index=faiss: faiss is not installed (extra ann): pip install faiss-cpu"
            ) from error
        vectors = np.ascontiguousarray(table[1:].detach().cpu().numpy(), dtype=np.float32)
        n, width = vectors.shape
        self.is_exact = n <= exact_up_to
        self._index: faiss.Index
        if self.is_exact:
            self._index = faiss.IndexFlatIP(width)
        else:
            cells = round(4 * math.sqrt(n))
            coarse = faiss.IndexFlatIP(width)
            index = faiss.IndexIVFFlat(coarse, width, cells, faiss.METRIC_INNER_PRODUCT)
            index.cp.max_points_per_centroid = _POINTS_PER_CELL
            index.train(vectors)
            index.nprobe = max(1, round(cells * _SHARE_VISITED))
            self._index = index
        self._index.add(vectors)

    def search(
        self, vectors: Tensor, k: int, excluded: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the best items that the index finds, in the form of `evaluation.top_k.top_k`.

        Args:
            vectors: (B, d) user vectors.
            k: at least 1.
            excluded: (rows, items) that must not be listed.

        Returns:
            (B, K) scores and (B, K) int64 items, K = min(k, V - 1); a row with fewer results ends
            with scores of minus infinity. Ties at the end of the list are broken arbitrarily.
        """
        n_items, n_rows = self._index.ntotal + 1, len(vectors)
        k, most = min(k, n_items - 1), 0
        if excluded is not None and len(excluded[0]):
            most = int(torch.bincount(excluded[0], minlength=n_rows).max())
        asked = np.ascontiguousarray(vectors.detach().cpu().numpy(), dtype=np.float32)
        result = self._index.search(asked, min(k + most, n_items - 1))
        scores, items = torch.from_numpy(result[0]), torch.from_numpy(result[1]) + 1
        scores[items == 0] = float("-inf")  # the visited cells held fewer
        if excluded is not None:
            # Each pair as one number, so that one look-up serves all rows.
            pairs = excluded[0].cpu() * n_items + excluded[1].cpu()
            own = torch.arange(n_rows)[:, None] * n_items + items
            scores[torch.isin(own, pairs)] = float("-inf")
        items, by_id = items.sort(dim=1)
        scores, by_score = scores.gather(1, by_id).sort(dim=1, descending=True, stable=True)
        return scores[:, :k], items.gather(1, by_score)[:, :k]
