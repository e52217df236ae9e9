"""Common style of all pictures: colour, marker and dash per label, and the frame of a PNG."""

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.printable import printable

# Ten colours that remain distinguishable under the common kinds of colour blindness:
# M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270 (with grey
# moved back by one position).
PALETTE = (
    "#3f90da #ffa90e #bd1f01 #832db6 #94a4a2 #a96b59 #e76300 #b9ac70 #717581 #92dadd"
).split()
# matplotlib's and plotly's names of the same markers; models never differ by colour alone.
_MARKERS = (
    ("o", "circle"),
    ("s", "square"),
    ("^", "triangle-up"),
    ("D", "diamond"),
    ("v", "triangle-down"),
    ("P", "cross"),
    ("X", "x"),
)
_DASHES = (("-", "solid"), ("--", "dash"), (":", "dot"))

_RC = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.dpi": 120,
    "font.size": 8.5,
    "grid.alpha": 0.3,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "savefig.dpi": 120,
    "text.parse_math": False,  # a label may contain dollar signs
}
SOFTWARE = "recbole_intent"  # stored in every PNG
INCHES_A_LETTER = 0.066  # average width in the default font


@dataclass(frozen=True)
class Look:
    """Style of one label in every picture.

    Attributes:
        colour: `#rrggbb`.
        marker: matplotlib's name of the marker.
        dash: matplotlib's name of the dash.
        symbol: plotly's name of the marker.
        line: plotly's name of the dash.
    """

    colour: str
    marker: str
    dash: str
    symbol: str
    line: str


def looks(labels: Sequence[str]) -> dict[str, Look]:
    """Assign a look to each label by position: the same list always gives the same colours."""
    found = {}
    for i, label in enumerate(labels):
        marker, symbol = _MARKERS[i % len(_MARKERS)]
        dash, line = _DASHES[i // len(PALETTE) % len(_DASHES)]
        found[label] = Look(PALETTE[i % len(PALETTE)], marker, dash, symbol, line)
    return found


def metric_name(metric: str) -> str:
    """Format a metric as papers do: `ndcg@10` becomes `NDCG@10`."""
    name, at, k = metric.partition("@")
    return (name.upper() if name in ("ndcg", "mrr", "map") else name.capitalize()) + at + k


def wrapped(label: str, letters: int = 30) -> str:
    """Wrap a long label into lines of at most `letters` characters."""
    return "\n".join(textwrap.wrap(printable(label), letters))


@contextmanager
def picture(
    path: str | Path,
    size: tuple[float, float],
    rows: int = 1,
    columns: int = 1,
    title: str = "",
    **subplots: Any,
) -> Iterator[tuple[Any, Any]]:
    """Yield a figure and its (rows, columns) array of axes; write it atomically as PNG on exit.

    Matplotlib's global state (backend, open figures) does not change.

    Args:
        path: PNG file to write.
        size: width and height in inches, at 120 dpi.
        rows: rows of axes.
        columns: columns of axes.
        title: above all axes.
        subplots: further options of `Figure.subplots`, such as `sharey`.

    Raises:
        UserError: the file cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from PIL import Image

    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(size[0], size[1] + 0.25 * bool(title)), layout="constrained")
        if title:
            figure.suptitle(printable(title), fontsize=9)
        yield figure, figure.subplots(rows, columns, squeeze=False, **subplots)
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png")
    # The pictures have few colours plus antialiasing: a palette of 256 saves two thirds.
    image = Image.open(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    with atomic_write(path) as temporary:
        # The file names its maker, so that pictures from other software are never replaced.
        image.save(temporary, format="PNG", optimize=True, pnginfo=_maker())


def _maker() -> Any:
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_text("Software", SOFTWARE)
    return about


def is_picture(path: Path) -> bool:
    """Whether a file is a picture written by this package."""
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get("Software") == SOFTWARE


def legend_columns(labels: Sequence[str], width: float) -> int:
    """The number of columns of these labels that fit in `width` inches, at least 1."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=1)
    return max(1, min(len(labels), int(width / (longest * INCHES_A_LETTER + 0.6))))


def legend_height(labels: Sequence[str], width: float) -> float:
    """Height of `legend_below` in inches."""
    lines = max((label.count("\n") + 1 for label in labels), default=1)
    rows = -(-len(labels) // legend_columns(labels, width))
    return 0.12 + 0.18 * rows * lines


def legend_below(figure: Any, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Add a legend below all axes, in as many columns as fit."""
    columns = legend_columns(labels, figure.get_figwidth())
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
