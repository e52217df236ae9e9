"""The picture of the intents: whole, small, and right about who is near."""

import numpy as np
import pytest
from PIL import Image

from recbole_intent.plotting.intent_space import _in_the_plane, intent_space
from recbole_intent.utils.errors import UserError


def _space(n: int) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    keys = rng.normal(size=(n, 16))
    query = 2 * keys[0] + keys[1]
    names = [f"an intent in some words, number {i}" for i in range(n)]
    return keys, names, query, 1 / (1 + np.exp(-keys @ query / 16))


@pytest.mark.parametrize(("n", "method"), [(2, "pca"), (40, "pca"), (4, "tsne"), (40, "tsne")])
def test_a_picture_is_whole(tmp_path, n, method):
    path = tmp_path / "space.png"
    intent_space(*_space(n), path, method)
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    assert all((edge == 255).all() for edge in edges)
    assert (pixels < 200).mean() > 0.002


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_groups_stay_apart(method):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(40, 16)) * 0.05
    vectors[:20, 0] += 1
    vectors[20:, 1] += 1
    plane = _in_the_plane(vectors, method)
    centres = plane[:20].mean(0), plane[20:].mean(0)
    nearer = np.linalg.norm(plane - centres[0], axis=1) < np.linalg.norm(plane - centres[1], axis=1)
    assert nearer.tolist() == [True] * 20 + [False] * 20


@pytest.mark.parametrize(
    ("n", "method", "message"), [(9, "umap", "none of pca, tsne"), (3, "tsne", "at least 4")]
)
def test_what_cannot_be_drawn_is_said(tmp_path, n, method, message):
    with pytest.raises(UserError, match=message):
        intent_space(*_space(n), tmp_path / "space.png", method)
    assert not (tmp_path / "space.png").exists()
