"""A figure that is drawn once and written as PNG, SVG or PDF, or placed in an HTML page."""

import io
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from recbole_intent.plotting.style import INCHES_A_LETTER, RC
from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.printable import printable

FORMATS = ("png", "svg", "pdf")
SOFTWARE = "recbole_intent"  # stored in every PNG
_LINE = 0.2  # inches of a line of the title
_HREF = "{http://www.w3.org/1999/xlink}href"
_DECIMALS = re.compile(r"-?\d+\.\d{2,}")
_FONT = re.compile(r"font-family: [^;]*;?")
_METADATA: dict[str, dict[str, str | None]] = {
    # Without a date, the same picture gives the same file.
    "svg": {"Creator": SOFTWARE, "Date": None, "Format": None, "Type": None},
    "pdf": {"Creator": SOFTWARE, "CreationDate": None},
}


@dataclass
class Drawing:
    """A matplotlib figure with notes on its artists.

    Attributes:
        figure: the figure.
        panels: (rows, columns) array of axes.
        title: text above all axes; may be empty.
        marks: (label, hover text) of the marked artists.
    """

    figure: Any
    panels: Any
    title: str = ""
    marks: list[tuple[str, str]] = field(default_factory=list)

    def mark(self, artist: Any, label: str, text: str = "") -> Any:
        """Attach an artist to a label, and a text that the page shows on hovering; returns it."""
        artist.set_gid(f"mark{len(self.marks)}")
        self.marks.append((label, f"{label}\n{text}".strip()))
        return artist

    def save(self, path: str | Path) -> None:
        """Write the figure atomically, in the format of the path's suffix: one of `FORMATS`.

        Raises:
            UserError: the file cannot be written.
        """
        kind = Path(path).suffix.removeprefix(".")
        content = self._bytes(kind, metadata=_METADATA.get(kind))
        with atomic_write(path) as temporary:
            temporary.write_bytes(_few_colours(content) if kind == "png" else content)

    def svg(self, prefix: str) -> str:
        """Return the figure as an `<svg>` element for an HTML page.

        Text stays text. The element of a marked artist has the attribute `data-model`, its label,
        and shows its text on hovering. The colours black and white are left to the page's style
        sheet, which knows whether the page is dark.

        Args:
            prefix: makes the element's ids unique within the page.
        """
        # Neither background nor metadata: the page has its own.
        content = self._bytes("svg", metadata=dict.fromkeys(_METADATA["svg"]), facecolor="none")
        root = ElementTree.fromstring(content)
        ids = {value[1:] for element in root.iter() for value in [element.get(_HREF, "")] if value}
        for element in root.iter():
            element.tag = element.tag.partition("}")[2]
            element.text = element.text and element.text.strip()
            element.tail = None
            for child in [*element]:
                if child.tag.endswith("}style"):
                    element.remove(child)
            name = element.attrib.pop("id", "")
            if name in ids or element.tag == "clipPath":
                element.set("id", f"{prefix}-{name}")
            if name.startswith("mark"):
                label, text = self.marks[int(name.removeprefix("mark"))]
                element.set("data-model", printable(label))
                title = ElementTree.Element("}title")
                title.text = printable(text, lines=True)
                element.insert(0, title)
            if link := element.attrib.pop(_HREF, ""):
                element.set("href", f"#{prefix}-{link[1:]}")
            for key, value in element.attrib.items():
                if key in ("d", "x", "y", "transform"):
                    value = " ".join(_DECIMALS.sub(_rounded, value).split())
                elif key == "style":
                    value = _FONT.sub("", value)
                elif key == "clip-path":
                    value = value.replace("#", f"#{prefix}-")
                element.set(key, value)
        for key in ("width", "height", "version"):
            del root.attrib[key]
        root.attrib |= {"role": "img", "aria-label": printable(self.title)}
        return ElementTree.tostring(root, encoding="unicode")

    def _bytes(self, kind: str, **options: Any) -> bytes:
        import matplotlib

        buffer = io.BytesIO()
        with matplotlib.rc_context(RC):
            self.figure.savefig(buffer, format=kind, **options)
        return buffer.getvalue()


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


@contextmanager
def drawing(
    size: tuple[float, float], rows: int = 1, columns: int = 1, title: str = "", **subplots: Any
) -> Iterator[Drawing]:
    """Yield an empty drawing in the common style; the style holds until the block ends.

    Matplotlib's global state (backend, open figures) does not change.

    Args:
        size: width and height in inches, at 120 dpi.
        rows: rows of axes.
        columns: columns of axes.
        title: above all axes; adds to the height.
        subplots: further options of `Figure.subplots`, such as `sharey`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    lines = textwrap.wrap(printable(title), int(size[0] / INCHES_A_LETTER)) if title else []
    with matplotlib.rc_context(RC):
        height = size[1] + _LINE * len(lines)
        figure = Figure(figsize=(size[0], height), layout="constrained")
        if lines:
            figure.suptitle("\n".join(lines), fontsize=9)
        yield Drawing(figure, figure.subplots(rows, columns, squeeze=False, **subplots), title)


def _few_colours(png: bytes) -> bytes:
    """Reduce a PNG to 256 colours, which saves two thirds, and name its maker in it."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    # The pictures have few colours plus antialiasing.
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    about, buffer = PngInfo(), io.BytesIO()
    about.add_text("Software", SOFTWARE)  # so that pictures of other software are never replaced
    image.save(buffer, format="PNG", optimize=True, pnginfo=about)
    return buffer.getvalue()


def is_picture(path: Path) -> bool:
    """Whether a PNG was written by this package."""
    from PIL import Image

    with Image.open(path) as image:
        return image.info.get("Software") == SOFTWARE
