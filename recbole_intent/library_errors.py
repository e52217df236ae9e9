"""Mistakes of the user that RecBole meets with an exception of any class: one line instead.

RecBole asserts, indexes and looks up what a configuration or a dataset gives it, so that a wrong
value ends in a KeyError, an AssertionError or a TypeError far from its key. What it raises while it
reads a configuration, a dataset or builds a model comes of what it was given. What our own code
raises, or a class of the user's, is a fault of that code and keeps its traceback.
"""

import linecache
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import recbole

from recbole_intent.errors import UserError
from recbole_intent.parsing import reason_of

_MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
_OURS = Path(__file__).resolve().parent
_RECBOLE = Path(recbole.__file__).resolve().parent


@contextmanager
def library_mistakes(where: str) -> Iterator[None]:
    """Turn what RecBole raises in the block into a UserError.

    Args:
        where: what the error begins with: `dataset ml-100k`.

    Raises:
        UserError: names the class of the exception, its message, and RecBole's line.
    """
    try:
        yield
    except UserError:
        raise
    except _MISTAKES as error:
        line = _line_of_recbole(error.__traceback__)
        if line is None:
            raise
        reason = reason_of(error)
        if not isinstance(error, ValueError | NotImplementedError):  # those are written for people
            reason = f"{type(error).__name__}: {reason}"
        raise UserError(f"{where}: {reason} (RecBole's {line})") from error


def _line_of_recbole(traceback: TracebackType | None) -> str | None:
    """RecBole's line that raised or called what raised; None where that is other code's fault.

    Frames of libraries that RecBole calls (torch, pandas) are passed over.
    """
    found = None
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if path.is_relative_to(_RECBOLE):
            text = linecache.getline(str(path), traceback.tb_lineno).strip()
            found = f"{path.name}:{traceback.tb_lineno}: {text}"
        elif path.is_relative_to(_OURS) or not _is_library(path):
            found = None
        traceback = traceback.tb_next
    return found


def _is_library(path: Path) -> bool:
    """Whether a file is of an installed library, of Python itself, or generated."""
    return (
        "site-packages" in path.parts
        or path.is_relative_to(Path(os.__file__).parent)
        or not path.is_absolute()
    )
