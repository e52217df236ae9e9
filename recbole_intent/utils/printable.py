"""Sanitizing of external text (titles, labels, names, messages) for terminals, logs and reports.

A title may contain terminal escape sequences, an error message a line that looks like one of ours,
a label an HTML script. All such text passes through `printable` before it becomes part of a line,
and through `markdown` if that line is Markdown; only `say` prints. Files for machines (CSV, JSON
lines, Parquet) keep texts unchanged.
"""

import logging
import re
import sys
from typing import TextIO

_REPLACEMENT = "\ufffd"
_BREAKS = r"\t-\r\x1c-\x1f\x85\u2028\u2029"
# Control characters (C0, DEL, C1), lone surrogates, and invisible characters that change the
# display: direction, zero width, interlinear notes. The two joiners (U+200C, U+200D), which scripts
# and emoji need, and the soft hyphen stay.
_UNSEEN = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ud800-\udfff"
)
_BREAK = re.compile(f"[{_BREAKS}]+")
_BREAK_WITHIN_LINES = re.compile(f"[{_BREAKS}]+".replace(r"\t-\r", r"\t\x0b-\r"))
_BAD = re.compile(f"[{_UNSEEN}]")

# Markdown syntax: anywhere; except between letters; before some characters; at the start and the
# end of a paragraph or heading. An interval such as [0.1, 0.2] is not a link and stays as it is.
_MARKS = re.compile(
    r"(?P<interval>\[[-+−\d.,% ]+\](?![(\[:]))"
    r"|[*`\[\]|~]|(?<![^\W_])_|_(?![^\W_])"
    r"|\\(?=[!-/:-@\[-`{-~]|$)|!(?=\[)|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
    r"|^>|^[#=+-](?=[\s#=+-]|$)|(?<=^\d)[.)](?=\s)|(?<=\s)#(?=#*\s*$)"
)
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def printable(text: object, *, lines: bool = False) -> str:
    r"""Return the text without terminal control characters and invisible characters.

    Args:
        text: any object, converted by `str`.
        lines: keep line breaks (`\\n`). Otherwise the result is one line: each run of line breaks
            and tabs becomes one space.

    Returns:
        The text with control characters, escape sequences, direction marks and lone surrogates
        replaced by U+FFFD.
    """
    text = str(text)
    if text.isascii() and text.isprintable():  # fast path for most texts
        return text
    return _BAD.sub(_REPLACEMENT, (_BREAK_WITHIN_LINES if lines else _BREAK).sub(" ", text))


def markdown(text: object) -> str:
    """Escape a text as one line of Markdown without links, images, tags or markup.

    The result is valid in a table cell, a heading and a sentence.
    """
    return _MARKS.sub(_escaped, printable(text))


def _escaped(match: re.Match[str]) -> str:
    sign = match[0]
    return sign if match["interval"] else _ENTITIES.get(sign, f"\\{sign}")


def say(
    text: object = "",
    *,
    lines: bool = False,
    file: TextIO | None = None,
    end: str = "\n",
    flush: bool = False,
) -> None:
    r"""Print the `printable` text to standard output or another stream.

    Characters that the stream's encoding lacks are written as `\\xNN`.

    Args:
        text: any object, converted by `str`.
        lines: the text has several lines, such as a table.
        file, end, flush: as for `print`.
    """
    stream = sys.stdout if file is None else file
    encoding = getattr(stream, "encoding", None) or "utf-8"
    fit = printable(text, lines=lines).encode(encoding, "backslashreplace").decode(encoding)
    print(fit, file=stream, end=end, flush=flush)


def show_log(stream: TextIO | None = None) -> None:
    """Show the package's log from INFO on, and other logs from WARNING on.

    Args:
        stream: standard error if None.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("recbole_intent").setLevel(logging.INFO)


def in_notebook() -> bool:
    """Whether this is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config


def show_log_once() -> None:
    """Show the log of a call from Python, such as its epochs, unless logging is set up already.

    In a notebook the log is output of the cell. Some, such as Colab's, come with a handler, which
    shows warnings alone.
    """
    logger = logging.getLogger("recbole_intent")
    if not logger.hasHandlers():
        show_log(sys.stdout if in_notebook() else None)
    elif in_notebook() and logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


class PrintableFormatter(logging.Formatter):
    """A log formatter: a message is one line, and a traceback below it keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message on one printable line."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """The message, and a traceback on lines of its own."""
        return printable(super().format(record), lines=True)
