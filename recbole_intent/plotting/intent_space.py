"""Plot of the learned intents and of a session's position among them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recbole_intent.plotting.drawing import drawing
from recbole_intent.plotting.labels import place_labels
from recbole_intent.plotting.style import PALETTE
from recbole_intent.utils.errors import UserError

_METHODS = ("pca", "tsne")
_NAMED = 5  # intents that are labelled


def intent_space(
    keys: np.ndarray,
    names: Sequence[str],
    query: np.ndarray,
    probability: np.ndarray,
    path: str | Path,
    method: str = "pca",
) -> None:
    """Draw the directions of all intents and of one session in two dimensions.

    The colour of an intent shows its probability. The most probable intents of the session are
    labelled with their names and probabilities.

    Args:
        keys: (C, d) vectors of the intents, C >= 2, as from `VELI4SBR.intent_space`.
        names: C intents in words.
        query: (d,) vector of the session; its products with `keys` give the probabilities.
        probability: (C,) probability of each intent for this session, in [0, 1].
        path: PNG file to write.
        method: `pca`, or `tsne`, which preserves neighbourhoods and needs C >= 4.

    Raises:
        UserError: another method, or too few intents for it.
    """
    if method not in _METHODS:
        raise UserError(f"method: {method!r} is none of {', '.join(_METHODS)}")
    least = 2 if method == "pca" else 4
    if len(keys) < least:
        raise UserError(f"a picture by {method} needs at least {least} intents, not {len(keys)}")
    vectors = np.concatenate([keys, query[None]]).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    places = _in_the_plane(vectors / np.maximum(lengths, 1e-12), method)
    intents, session = places[:-1], places[-1]
    best = np.argsort(-probability, kind="stable")[:_NAMED]
    with drawing((7.0, 5.0)) as drawn:
        figure, axes = drawn.figure, drawn.panels[0, 0]
        dots = axes.scatter(
            *intents.T, c=probability, cmap="viridis_r", vmin=0, vmax=1, s=30, linewidths=0
        )
        axes.scatter(*session, marker="*", s=220, color=PALETTE[2], edgecolors="white", zorder=3)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("1st principal component" if method == "pca" else "t-SNE")
        axes.set_ylabel("2nd principal component" if method == "pca" else "")
        axes.margins(0.2)
        figure.colorbar(dots, ax=axes, label="probability for this session")
        points = {f"{names[c]} ({probability[c]:.2f})": tuple(intents[c]) for c in best}
        unnamed = np.delete(intents, best, axis=0)
        place_labels(figure, axes, {"the session": tuple(session), **points}, map(tuple, unnamed))
    drawn.save(path)


def _in_the_plane(vectors: np.ndarray, method: str) -> np.ndarray:
    """Project (N, d) vectors to (N, 2)."""
    if method == "pca":
        from sklearn.decomposition import PCA

        return PCA(2, svd_solver="full").fit_transform(vectors)
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors)
