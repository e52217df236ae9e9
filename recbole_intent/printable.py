"""Texts of others, made fit for a terminal, a log, a report: titles, labels, names, messages.

A title may hold the escape sequences of a terminal, an error message a line that looks like one
of ours, a label the HTML of a script. Every such text goes through `printable` where it becomes a
part of a line, and through `markdown` where that line is Markdown; `say` prints, and nothing else
does. Files for machines (CSV, JSON lines, Parquet) hold texts as they are.
"""

import logging
import re
import sys
from typing import TextIO

_REPLACEMENT = "\ufffd"
_BREAKS = r"\t-\r\x1c-\x1f\x85\u2028\u2029"
# Controls (C0, DEL, C1), halves of surrogate pairs, and signs that are not seen but change what
# is: those of direction, zero width, interlinear notes. The two joiners (U+200C, U+200D), which
# scripts and emoji need, and the soft hyphen stay.
_UNSEEN = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ud800-\udfff"
)
_BREAK = re.compile(f"[{_BREAKS}]+")
_BREAK_WITHIN_LINES = re.compile(f"[{_BREAKS}]+".replace(r"\t-\r", r"\t\x0b-\r"))
_BAD = re.compile(f"[{_UNSEEN}]")

# What Markdown reads: everywhere; but between letters; before some signs; at the start and at the
# end of a paragraph or heading. An interval such as [0.1, 0.2] is no link and stays as it is.
_MARKS = re.compile(
    r"(?P<interval>\[[-+−\d.,% ]+\](?![(\[:]))"
    r"|[*`\[\]|~]|(?<![^\W_])_|_(?![^\W_])"
    r"|\\(?=[!-/:-@\[-`{-~]|$)|!(?=\[)|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
    r"|^>|^[#=+-](?=[\s#=+-]|$)|(?<=^\d)[.)](?=\s)|(?<=\s)#(?=#*\s*$)"
)
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def printable(text: object, *, lines: bool = False) -> str:
    """The text with nothing in it that a terminal obeys or a reader cannot see.

    Args:
        text: anything; `str` is taken of it.
        lines: keep line breaks (`\\n`). Without it the result is one line: each run of line
            breaks and tabs is one space.

    Returns:
        Text without control characters, escape sequences, signs of writing direction and halves
        of surrogate pairs: each such character is U+FFFD.
    """
    text = str(text)
    if text.isascii() and text.isprintable():  # most are, and this is quick
        return text
    return _BAD.sub(_REPLACEMENT, (_BREAK_WITHIN_LINES if lines else _BREAK).sub(" ", text))


def markdown(text: object) -> str:
    """One line of Markdown that shows the printable text as it is: no link, picture, tag or mark.

    It fits a cell of a table, a heading and a sentence alike.
    """
    return _MARKS.sub(_escaped, printable(text))


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    return sign if found["interval"] else _ENTITIES.get(sign, f"\\{sign}")


def say(
    text: object = "",
    *,
    lines: bool = False,
    file: TextIO | None = None,
    end: str = "\n",
    flush: bool = False,
) -> None:
    """Print to standard output, or to another stream, what is `printable`.

    Characters that the stream's encoding lacks are written as `\\xNN`.

    Args:
        text: anything; `str` is taken of it.
        lines: the text has lines of its own, such as a table.
        file, end, flush: as of `print`.
    """
    stream = sys.stdout if file is None else file
    encoding = getattr(stream, "encoding", None) or "utf-8"
    fit = printable(text, lines=lines).encode(encoding, "backslashreplace").decode(encoding)
    print(fit, file=stream, end=end, flush=flush)


def show_log(stream: TextIO | None = None) -> None:
    """Show the package's log from INFO on, that of others from WARNING on.

    Args:
        stream: standard error if None.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("recbole_intent").setLevel(logging.INFO)


class PrintableFormatter(logging.Formatter):
    """A log's lines: a message is one line, a traceback below it keeps its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)
