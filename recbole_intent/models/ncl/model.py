"""RecBole's NCL without the warnings of faiss."""

import numpy as np
import torch
import torch.nn.functional as F
from recbole.model.general_recommender.ncl import NCL as RecBoleNCL
from torch import Tensor

from recbole_intent.nn.kmeans import kmeans, nearest_centre

_SEED = 1234  # faiss' own, which RecBole leaves unchanged


class NCL(RecBoleNCL):
    """RecBole's NCL, without faiss' warning, twice per E-step, about clusters with few points.

    faiss expects at least 39,000 users or items for the paper's own 1,000 clusters; the warning
    does not affect the results.

    Source: Lin et al., "Improving Graph Collaborative Filtering with Neighborhood-enriched
    Contrastive Learning", WWW 2022.
    """

    def run_kmeans(self, x: np.ndarray) -> tuple[Tensor, Tensor]:
        """Unit-length centroids (k, d), and the cluster index of each row of x (N, d)."""
        centres = kmeans(x, self.k, seed=_SEED, n_iter=25, library="faiss", max_points=256)
        parts = torch.from_numpy(x).split(8192)  # distances to all centres take memory
        cluster = torch.cat([nearest_centre(part, centres) for part in parts])
        return F.normalize(centres, dim=1).to(self.device), cluster.to(self.device)
