"""Placement of non-overlapping labels next to the points of a scatter plot."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from recbole_intent.plotting.style import wrapped

Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


def place_labels(
    figure: Any,
    axes: Any,
    points: Mapping[str, tuple[float, float]],
    avoid: Iterable[tuple[float, float]] = (),
) -> None:
    """Write a label next to each point so that labels overlap neither each other nor a point.

    Each label takes the nearest free place; a line connects distant labels to their points.

    Args:
        figure: the figure, with its scales and limits set.
        axes: the axes of the points.
        points: label -> (x, y) in data units.
        avoid: further, unlabelled points that no label may hide.
    """
    figure.draw_without_rendering()  # fixes the position of the axes
    frame = axes.get_window_extent()
    spots = {label: axes.transData.transform(point) for label, point in points.items()}
    taken = [(x - 10, y - 10, x + 10, y + 10) for x, y in spots.values()]
    others = [axes.transData.transform(point) for point in avoid]
    taken += [(x - 5, y - 5, x + 5, y + 5) for x, y in others]
    for label, (x, y) in sorted(spots.items(), key=lambda spot: tuple(spot[1])):
        text = axes.annotate(
            wrapped(label), points[label], (0, 0), textcoords="offset points",
            ha="left", va="bottom", fontsize=8, in_layout=False,
        )  # fmt: skip
        extent = text.get_window_extent()
        box = _free_box(x, y, extent.width, extent.height, taken, frame.extents)
        taken.append(box)
        # Points, not pixels, whose size depends on the file format.
        text.set_position(((box[0] - x) * 72 / figure.dpi, (box[1] - y) * 72 / figure.dpi))
        near_x, near_y = min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])
        if math.hypot(near_x - x, near_y - y) > 24:
            line = axes.transData.inverted().transform([(x, y), (near_x, near_y)])
            axes.plot(line[:, 0], line[:, 1], color="0.6", lw=0.6, zorder=1, in_layout=False)


def _free_box(x: float, y: float, width: float, height: float, taken: list[Box], frame: Box) -> Box:
    """The place nearest to (x, y) that lies within the frame and touches no taken box."""
    best: Box = (x, y, x + width, y + height)
    least = math.inf
    for radius in range(12, 400, 8):
        for turn in range(24):
            angle = math.tau * turn / 24
            # Half the text size is added, so that the text clears the point in every direction.
            across = x + math.cos(angle) * (radius + width / 2)
            up = y + math.sin(angle) * (radius + height / 2)
            box = (across - width / 2, up - height / 2, across + width / 2, up + height / 2)
            hidden = sum(_overlap(box, other) for other in taken)
            hidden += width * height - _overlap(box, frame)
            if hidden < least - 1e-6:
                best, least = box, hidden
        if least < 1e-6:
            break
    return best


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)
