"""Common style of all pictures: colour, marker and dash of each label, sizes, legends."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recbole_intent.utils.printable import printable

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Ten colours that remain distinguishable under the common kinds of colour blindness:
# M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270 (with grey
# moved back by one position).
PALETTE = (
    "#3f90da #ffa90e #bd1f01 #832db6 #94a4a2 #a96b59 #e76300 #b9ac70 #717581 #92dadd"
).split()
_MARKERS = "o s ^ D v P X".split()  # models never differ by colour alone
_DASHES = ("-", "--", ":")

RC: "dict[RcKeyType, Any]" = {
    "axes.axisbelow": True,
    "axes.facecolor": "none",
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
    "pdf.fonttype": 42,  # fonts that printers and publishers accept
    "savefig.dpi": 120,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "recbole_intent",  # the same picture gives the same file
    "text.parse_math": False,  # a label may contain dollar signs
}
_NAMES = {
    name.lower(): name
    for name in (
        "NDCG MRR MAP GAUC ItemCoverage AveragePopularity GiniIndex ShannonEntropy TailPercentage"
    ).split()
}
INCHES_A_LETTER = 0.066  # average width in the default font


@dataclass(frozen=True)
class Look:
    """Style of one label in every picture.

    Attributes:
        colour: `#rrggbb`.
        marker: matplotlib's name of the marker.
        dash: matplotlib's name of the dash.
    """

    colour: str
    marker: str
    dash: str

    @property
    def style(self) -> dict[str, str]:
        """Colour and marker as options of a matplotlib artist."""
        return {"color": self.colour, "marker": self.marker}


def looks(labels: Sequence[str]) -> dict[str, Look]:
    """Assign a look to each label by position: the same list always gives the same colours."""
    return {
        label: Look(
            PALETTE[i % len(PALETTE)],
            _MARKERS[i % len(_MARKERS)],
            _DASHES[i // len(PALETTE) % len(_DASHES)],
        )
        for i, label in enumerate(labels)
    }


def metric_name(metric: str) -> str:
    """Format a metric as papers do: `ndcg@10` becomes `NDCG@10`."""
    name, at, k = metric.partition("@")
    return _NAMES.get(name, name.capitalize()) + at + k


def wrapped(label: str, letters: int = 30) -> str:
    """Wrap a long label into lines of at most `letters` characters."""
    return "\n".join(textwrap.wrap(printable(label), letters))


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
