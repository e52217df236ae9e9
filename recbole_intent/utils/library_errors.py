"""Conversion of RecBole's exceptions on bad input into one-line user errors.

RecBole asserts, indexes and looks up values of a configuration or dataset, so a wrong value ends in
a KeyError, AssertionError or TypeError far from its key. An exception that RecBole raises while
reading a configuration or dataset, or building a model, is caused by its input. An exception from
our own code or a user's class is a bug in that code and keeps its traceback.
"""

import linecache
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import recbole

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import reason_of

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
_OURS = Path(__file__).resolve().parents[1]
_RECBOLE = Path(recbole.__file__).resolve().parent


@contextmanager
def library_mistakes(where: str) -> Iterator[None]:
    """Turn exceptions that RecBole raises in the block into a UserError.

    Args:
        where: prefix of the error, such as `dataset ml-100k`.

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
        if not isinstance(error, ValueError | NotImplementedError):  # their messages explain it
            reason = f"{type(error).__name__}: {reason}"
        raise UserError(f"{where}: {reason} (RecBole's {line})") from error


def _line_of_recbole(traceback: TracebackType | None) -> str | None:
    """Return RecBole's line that raised or called what raised; None if other code did.

    Frames of libraries that RecBole calls (torch, pandas) are skipped.
    """
    line = None
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if path.is_relative_to(_RECBOLE):
            text = linecache.getline(str(path), traceback.tb_lineno).strip()
            line = f"{path.name}:{traceback.tb_lineno}: {text}"
        elif path.is_relative_to(_OURS) or not _is_library(path):
            line = None
        traceback = traceback.tb_next
    return line


def _is_library(path: Path) -> bool:
    """Whether a file is of an installed library, of Python itself, or generated."""
    return (
        "site-packages" in path.parts
        or path.is_relative_to(Path(os.__file__).parent)
        or not path.is_absolute()
    )
