"""K-means by scikit-learn or faiss, and the nearest of given centres."""

import warnings

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from recbole_intent.utils.errors import UserError

LIBRARIES = ("sklearn", "faiss")


def kmeans(
    points: np.ndarray,
    k: int,
    *,
    seed: int,
    n_iter: int = 20,
    n_redo: int = 1,
    library: str = "sklearn",
    spherical: bool = False,
    max_points: int | None = None,
) -> Tensor:
    """Centres of the best of several runs of Lloyd's algorithm, each from random points.

    Args:
        points: (N, d) finite numbers.
        k: number of clusters, 1 .. N.
        seed: of the random starts, 0 .. 2^31 - 1; the same seed gives the same centres.
        n_iter: iterations of a run, at most.
        n_redo: runs; the one with the smallest sum of squared distances counts.
        library: `sklearn`, or `faiss` (extra `ann`).
        spherical: cluster directions: centres have length 1. `faiss` only.
        max_points: cluster a random sample of this many points per cluster. `faiss` only; None:
            all points.

    Returns:
        (k, d) float32.

    Raises:
        UserError: faiss is not installed.
        ValueError: `k` out of range, or an option that `library` does not have.
    """
    if not 1 <= k <= len(points):
        raise ValueError(f"k must be from 1 to the number of points, {len(points)}, not {k}")
    points = np.ascontiguousarray(points, dtype=np.float32)
    if library == "faiss":
        trained = _faiss(k, points, seed, n_iter, n_redo, spherical, max_points)
        return torch.from_numpy(trained.centroids.copy())
    if library != "sklearn" or spherical or max_points is not None:
        raise ValueError(f"library {library!r} with spherical {spherical}, max_points {max_points}")
    model = KMeans(
        k,
        init="random",
        n_init=n_redo,
        max_iter=n_iter,
        tol=0,
        random_state=seed,
        algorithm="lloyd",
    )
    with warnings.catch_warnings():
        # Fewer distinct points than clusters: some centres coincide, which does no harm.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return torch.from_numpy(model.fit(points).cluster_centers_.astype(np.float32))


def check_library(library: str, purpose: str) -> None:
    """Raise UserError if a library of `kmeans` is not installed.

    Args:
        library: one of `LIBRARIES`.
        purpose: who needs it, for the message.
    """
    if library == "faiss":
        try:
            import faiss  # noqa: F401
        except ImportError as error:
            message = f"{purpose} needs faiss (extra ann): pip install faiss-cpu"
            raise UserError(message) from error


def nearest_centre(x: Tensor, centres: Tensor) -> Tensor:
    """The nearest centre, by Euclidean distance, of each vector.

    Args:
        x: (..., d).
        centres: (k, d).

    Returns:
        (...) int64 indices in 0 .. k - 1; the first of several at the same distance.
    """
    # |x - c|² without |x|², which is the same for all centres.
    return ((centres * centres).sum(dim=1) / 2 - x @ centres.t()).argmin(dim=-1)


def _faiss(k, points, seed, n_iter, n_redo, spherical, max_points):
    check_library("faiss", "kmeans: faiss")
    import faiss

    if spherical:
        points = points / np.linalg.norm(points, axis=1, keepdims=True).clip(1e-12)
    # Without a warning about clusters with few points: it does not affect the result.
    trained = faiss.Kmeans(
        points.shape[1],
        k,
        niter=n_iter,
        nredo=n_redo,
        seed=seed,
        spherical=spherical,
        min_points_per_centroid=1,
        max_points_per_centroid=max_points or -(-len(points) // k),
        gpu=faiss.get_num_gpus() > 0,
    )
    trained.train(points)
    return trained
