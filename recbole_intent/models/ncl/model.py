"""RecBole's NCL without the warnings of faiss."""

import numpy as np
import torch
import torch.nn.functional as F
from recbole.model.general_recommender.ncl import NCL as RecBoleNCL
from torch import Tensor


class NCL(RecBoleNCL):
    """RecBole's NCL, without faiss' warning, twice per E-step, about clusters with few points.

    faiss expects at least 39,000 users or items for the paper's own 1,000 clusters; the warning
    does not affect the results.

    Source: Lin et al., "Improving Graph Collaborative Filtering with Neighborhood-enriched
    Contrastive Learning", WWW 2022.
    """

    def run_kmeans(self, x: np.ndarray) -> tuple[Tensor, Tensor]:
        """Unit-length centroids (k, d), and the cluster index of each row of x (N, d)."""
        import faiss

        kmeans = faiss.Kmeans(d=self.latent_dim, k=self.k, gpu=True, min_points_per_centroid=1)
        kmeans.train(x)
        _, cluster = kmeans.index.search(x, 1)
        centres = torch.from_numpy(kmeans.centroids).to(self.device)
        return F.normalize(centres, dim=1), torch.from_numpy(cluster[:, 0]).to(self.device)
