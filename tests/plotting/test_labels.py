"""Labels cover neither each other nor a point, and stay in the frame."""

from itertools import combinations

import numpy as np
import pytest

from recbole_intent.plotting.drawing import drawing
from recbole_intent.plotting.labels import place_labels


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_labels_cover_neither_each_other_nor_points(long_labels, scale, spread):
    rng = np.random.default_rng(3)
    points = {label: (1 + spread * rng.random(), spread * rng.random()) for label in long_labels}
    points |= {"corner": (3.0, 1.0), "other corner": (0.5, -1.0)}
    with drawing((8, 4.6)) as drawn:
        figure, axes = drawn.figure, drawn.panels[0, 0]
        axes.set_xscale(scale)
        axes.plot(*zip(*points.values(), strict=True), "o")
        axes.margins(0.15)
        others = rng.uniform((0.6, -0.9), (2.9, 0.9), (40, 2))
        axes.plot(*others.T, "o")
        place_labels(figure, axes, points, map(tuple, others))
        figure.draw_without_rendering()
        boxes = [text.get_window_extent().extents for text in axes.texts]
        spots = [axes.transData.transform(point) for point in (*points.values(), *others)]
        frame = axes.get_window_extent().extents
    assert len(boxes) == len(points)
    for a, b in combinations(boxes, 2):
        assert a[0] >= b[2] - 1 or b[0] >= a[2] - 1 or a[1] >= b[3] - 1 or b[1] >= a[3] - 1
    for left, bottom, right, top in boxes:
        assert not any(left < x < right and bottom < y < top for x, y in spots)
        assert frame[0] - 1 <= left < right <= frame[2] + 1
        assert frame[1] - 1 <= bottom < top <= frame[3] + 1
