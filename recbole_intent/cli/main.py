"""Command-line entry point: runs one command and reports user errors in one line."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from recbole_intent.cli.commands import COMMANDS, FLAGS, TRAIN
from recbole_intent.cli.options import PROGRAM, Command, help_text, near, parse
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import say, show_log
from recbole_intent.utils.version import __version__

_BY_NAME = {command.name: command for command in COMMANDS}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 on success, 2 for a user error, 130 for Ctrl-C, 141 if the reader of the output closed the
    pipe.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # escape what the terminal lacks
            stream.reconfigure(errors="backslashreplace")
    show_log()
    try:
        code = _dispatch(argv)
        sys.stdout.flush()  # here, where a closed pipe can still be handled
        return code
    except UserError as error:
        return _refuse(str(error))
    except RuntimeError:
        if not _was_told():
            raise
        return 2  # another process has already reported the error
    except BrokenPipeError:
        # The reader of our output, such as `head`, closed the pipe. Python would flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # a shell's code for SIGPIPE
    except OSError as error:
        # The system refused something that this program cannot fix: a full disk, too many open
        # files, a name that is too long.
        reason = error.strerror or str(error) or type(error).__name__
        return _refuse(f"{error.filename}: {reason}" if error.filename is not None else reason)
    except UnicodeEncodeError as error:  # in an option or a YAML file
        return _refuse(f"{error.object[:80]!r}: half a surrogate pair, which no file can hold")
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") == "0":
            say(
                "\nstopped; the same command continues where this one ended",
                file=sys.stderr,
                lines=True,
            )
        return 130


def _refuse(message: str) -> int:
    """Print the error in one line and return the exit code; call it in an `except` block."""
    if os.environ.get("RECBOLE_INTENT_TRACEBACK"):
        traceback.print_exc()
    line = " ".join(message.split())
    if len(line) > 1200:  # a word of the user's own that is longer than a screen
        line = f"{line[:800]} … {line[-300:]}"
    _tell(f"error: {line}")
    return 2


def _dispatch(argv: list[str]) -> int:
    if argv[:1] == ["help"]:
        argv = [*argv[1:], "--help"]
    if argv == ["--version"]:
        say(f"{PROGRAM} {__version__}")
        return 0
    command, words = _command(argv)
    if command.name and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(f"{command.name}: is for one process; start it without torchrun")
    if not {"-h", "--help"}.isdisjoint(words) or (command.helps and not words):
        say(help_text(command, () if command.name else COMMANDS), end="", lines=True)
        return 0
    asked = parse(command, words, FLAGS)
    return importlib.import_module(f"{__package__}.{command.module}").command(asked)


def _command(argv: list[str]) -> tuple[Command, list[str]]:
    """Return the command that the first words name, and the other words."""
    if not argv or argv[0].startswith("-"):
        return TRAIN, argv
    for n in (2, 1):
        command = _BY_NAME.get(" ".join(argv[:n]))
        if command is not None:
            return command, argv[n:]
    raise UserError(
        f"{argv[0]}: no such command{near(argv[0], _BY_NAME)} ({PROGRAM} --help lists all)"
    )


def _tell(message: str) -> None:
    """Print to stderr, once if torchrun runs several processes."""
    if "WORLD_SIZE" not in os.environ:  # do not spend seconds importing torch
        say(message, file=sys.stderr)
        return
    from recbole_intent.trainer.distributed import tell_once

    tell_once(message)


def _was_told() -> bool:
    if "WORLD_SIZE" not in os.environ:
        return False
    from recbole_intent.trainer.distributed import was_told

    return was_told()
