"""K-means of both libraries: planted clusters, the same twice, and the nearest centre."""

import sys

import numpy as np
import pytest
import torch

from recbole_intent.nn.kmeans import check_library, kmeans, nearest_centre
from recbole_intent.utils.errors import UserError


def _planted() -> tuple[np.ndarray, np.ndarray]:
    """600 points around 6 places far apart, and the place of each."""
    rng = np.random.default_rng(3)
    places = 10 * np.eye(6, 8)
    which = rng.integers(6, size=600)
    return (places[which] + 0.1 * rng.standard_normal((600, 8))).astype(np.float32), which


@pytest.mark.parametrize("library", ["sklearn", "faiss"])
def test_planted_clusters_are_recovered_and_the_seed_decides(library):
    points, which = _planted()
    centres = kmeans(points, 6, seed=1, n_redo=10, library=library)
    assert centres.shape == (6, 8)
    assert centres.dtype == torch.float32
    own = nearest_centre(torch.from_numpy(points), centres).numpy()
    assert len({*zip(own, which, strict=True)}) == 6  # one to one
    for cluster in range(6):
        mean = points[own == cluster].mean(axis=0)
        np.testing.assert_allclose(centres[cluster], mean, atol=1e-4)
    assert torch.equal(kmeans(points, 6, seed=1, n_redo=10, library=library), centres)
    # Places are at most 600 points, so the order of clusters is all that another seed changes.
    assert not torch.equal(kmeans(points, 40, seed=2), kmeans(points, 40, seed=1))


def test_the_nearest_centre_is_that_of_all_distances():
    generator = torch.Generator().manual_seed(0)
    x, centres = (torch.randn(*n, 4, generator=generator) for n in ((3, 5), (7,)))
    assert torch.equal(nearest_centre(x, centres), torch.cdist(x, centres[None]).argmin(dim=-1))


def test_spherical_centres_are_directions():
    points = _planted()[0] * np.linspace(0.1, 5, 600, dtype=np.float32)[:, None]
    centres = kmeans(points, 6, seed=1, n_redo=10, library="faiss", spherical=True)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(6))
    assert (centres.max(dim=1).values > 0.99).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be from 1"),
        ({"k": 601}, "number of points, 600"),
        ({"library": "torch"}, "library 'torch'"),
        ({"spherical": True}, "spherical True"),
        ({"max_points": 5}, "max_points 5"),
    ],
)
def test_what_is_not_possible_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kmeans(_planted()[0], **{"k": 3, "seed": 0, **options})


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    check_library("sklearn", "kmeans")
    with pytest.raises(UserError, match=r"kmeans: faiss needs faiss \(extra ann\): pip install"):
        check_library("faiss", "kmeans: faiss")
