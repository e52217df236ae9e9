"""The grammar of all commands: options from one table per command, and help texts from it.

`--key=value`, `--key value`, `-m value`; a list is separated by commas or blanks. What is not an
option of the command is a configuration key, if the command takes keys.
"""

import difflib
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_intent.config.key_kinds import (
    Choice,
    Flag,
    Kind,
    Listing,
    Number,
    Pattern,
    Whole,
    Word,
    shown,
)
from recbole_intent.config.key_kinds import Optional as OrEmpty
from recbole_intent.config.keys import Key
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import parse_value

PROGRAM = "recbole_intent"
WIDTH = 80  # columns of help texts
_INDENT = 24
_NUMBER = re.compile(r"-[\d.]")


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes:
        row: name, accepted values and help.
        value: placeholder of its value in help texts; empty for a flag.
        short: a letter, for `-m`.
        required: the command does not run without it.
        is_key: a configuration key, in this table because help shows it.
    """

    row: Key
    value: str = ""
    short: str = ""
    required: bool = False
    is_key: bool = False

    @property
    def name(self) -> str:
        """Name after `--`, with underscores."""
        return self.row.name

    @property
    def is_list(self) -> bool:
        """Whether it takes several words."""
        return isinstance(self.row.kind, Listing)

    def parse(self, words: Sequence[str]) -> Any:
        """Return the typed value.

        Raises:
            UserError: not a value of its kind.
        """
        kind, text = self.row.kind, " ".join(words)
        if isinstance(kind, Listing):
            value: Any = [_typed(kind.kind, part) for word in words for part in _parts(word)]
            is_counted = isinstance(kind.kind, Number | Whole)
            if is_counted and (not value or any(isinstance(one, str) for one in value)):
                example = "2020,2021" if isinstance(kind.kind, Whole) else "0.1,0.2"
                raise UserError(f"--{self.name}={text}: expected numbers, such as {example}")
        else:
            value = _typed(kind, text)
        mistake = kind.mistake(value)
        if mistake and isinstance(kind, Listing):
            raise UserError(f"--{self.name}: {mistake}")
        if mistake:
            wanted = mistake.removeprefix(f"{shown(value)} is ")
            raise UserError(f"--{self.name}={text}: {wanted}")
        return value


@dataclass(frozen=True)
class Command:
    """A command and its options.

    Attributes:
        name: one or two words, such as `enrich intents`; empty for the training of one model.
        module: of `recbole_intent.cli`, with the function `command(asked)`.
        summary: one line, for the list of commands.
        usage: what follows the name in the first lines of its help.
        options: in the order of its help.
        about: a paragraph below the usage.
        keys: what its other `--KEY=VALUE` are; None if it takes none.
        notes: a paragraph below the options.
        helps: without any word it shows its help.
        operand: the option that a word without `--name=` is a value of.
    """

    name: str
    module: str
    summary: str
    usage: Sequence[str]
    options: Sequence[Option] = ()
    about: str = ""
    keys: str | None = None
    notes: str = ""
    helps: bool = False
    operand: str = ""


@dataclass(frozen=True)
class Asked:
    """The parsed words of a command line.

    Attributes:
        options: name → typed value of the options that are given.
        keys: configuration key → typed value.
        words: all words, with the command's name first.
    """

    options: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    words: Sequence[str] = ()


def parse(command: Command, words: Sequence[str], flags: Iterable[str] = ()) -> Asked:
    """Parse the words after a command's name.

    Args:
        command: its table of options.
        words: of the command line.
        flags: names of the flags of all commands, for the message about one in a wrong place.

    Raises:
        UserError: a word of another form, an unknown or missing option, or an invalid value.
    """
    known = {option.name: option for option in command.options}
    shorts = {option.short: option for option in command.options if option.short}
    given: dict[str, list[str]] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, text = word.partition("=")
        if name[:2] == "--" and len(name) > 2:
            name = name[2:]
        elif name[:1] == "-" and name[1:2] in shorts:
            text = text if equals else name[2:]
            equals, name = "=" if text else equals, shorts[name[1]].name
        elif command.operand and name[:1] != "-":
            name, equals, text = command.operand, "=", word
        else:
            raise UserError(f"{word}: not of the form --key=value; --help shows how")
        if name.replace("-", "_") in {*known, *flags}:
            name = name.replace("-", "_")
        option = known.get(name)
        if option is None:
            _refuse_unknown(command, known, name, word, flags)
        values = [text] if equals else []
        if option is not None and not option.value:
            if equals:
                raise UserError(f"{word}: --{name} takes no value")
        elif not equals or (option is not None and option.is_list):
            most = len(rest) if option is not None and option.is_list else 1
            while rest and len(values) < most + bool(equals) and _is_value(rest[0]):
                values.append(rest.pop(0))
            if not values:
                raise UserError(f"{word}: needs a value: {word}=…")
        if given.setdefault(name, values) != values:
            first, second = " ".join(given[name]), " ".join(values)
            raise UserError(f"--{name}: given twice, as {first!r} and {second!r}")
    return _typed_all(command, known, given, words)


def _is_value(word: str) -> bool:
    return not word.startswith("-") or _NUMBER.match(word) is not None


def _refuse_unknown(
    command: Command, known: Mapping[str, Option], name: str, word: str, flags: Iterable[str]
) -> None:
    if name in flags:
        raise UserError(f"--{name}: not an option of {command.name or PROGRAM}")
    if command.keys is None:
        raise UserError(
            f"{command.name}: {word}: unknown option{near(name, known, '--')}; "
            f"{command.name} --help shows all"
        )


def near(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return `; did you mean NAME?` for the nearest of some names, or nothing."""
    matches = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f"; did you mean {prefix}{matches[0]}?" if matches else ""


def _typed_all(
    command: Command,
    known: Mapping[str, Option],
    given: Mapping[str, list[str]],
    words: Sequence[str],
) -> Asked:
    missing = [o.name for o in command.options if o.required and not any(given.get(o.name, ()))]
    if missing:
        lead, help_of = command.name and f"{command.name}: ", f"{command.name} --help".strip()
        raise UserError(f"{lead}--{missing[0]}=… is missing; {help_of} shows how")
    options: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    for name, values in given.items():
        option = known.get(name)
        if option is None or option.is_key:
            is_flag = option is not None and not option.value
            keys[name] = is_flag or parse_value(" ".join(values))
        else:
            options[name] = option.parse(values) if option.value else True
    return Asked(options, keys, [*command.name.split(), *words])


def _parts(word: str) -> list[str]:
    """Split at commas, and at blanks where there is no file of such a name."""
    parts = [part.strip() for part in word.split(",")]
    return [
        piece
        for part in parts
        for piece in ([part] if " " not in part or Path(part).is_file() else part.split())
        if piece
    ]


def _typed(kind: Kind, text: str) -> Any:
    """Parse a text as YAML, unless words are what the kind accepts."""
    while isinstance(kind, OrEmpty):
        kind = kind.kinds[0]
    is_word = isinstance(kind, Word | Pattern) or (
        isinstance(kind, Choice) and all(isinstance(value, str) for value in kind.values)
    )
    try:
        return text if is_word else parse_value(text)
    except UserError:  # the kind says what it is not
        return text


def option(
    form: str,
    text: str = "",
    row: Key | None = None,
    *,
    kind: Kind | None = None,
    **about: Any,
) -> Option:
    """Make an option.

    Args:
        form: `name=PLACEHOLDER`, or the name of a flag.
        text: its help; that of `row` if empty.
        row: an existing row of a table of keys.
        kind: accepted values; any word if None.
        about: further attributes.
    """
    name, _, value = form.partition("=")
    if kind is None:
        kind = row.kind if row is not None else Word() if value else Flag()
    return Option(Key(name, kind, text or (row.help if row else "")), value, **about)


def help_text(command: Command, others: Sequence[Command] = ()) -> str:
    """Return the help of a command, at most `WIDTH` columns wide.

    Args:
        command: the command.
        others: further commands to list, for the help of the whole program.
    """
    lines = []
    for i, usage in enumerate(command.usage):
        lead = "usage: " if i == 0 else "       "
        words = " ".join(filter(None, (f"{lead}{PROGRAM}", command.name, usage)))
        lines += textwrap.wrap(words, WIDTH, subsequent_indent=" " * 11, break_on_hyphens=False)
    if others:
        lines += ["", f"The commands, each with --help ({PROGRAM} COMMAND --help):", ""]
        for other in others:
            lines += _entry(other.name, other.summary)
    for paragraph in filter(None, (command.about or command.summary,)):
        lines += ["", *textwrap.wrap(paragraph, WIDTH)]
    lines.append("")
    for one in command.options:
        form = f"--{one.name}={one.value}" if one.value else f"--{one.name.replace('_', '-')}"
        lines += _entry(f"-{one.short}, {form}" if one.short else form, one.row.help)
    if command.keys is not None:
        lines += _entry("--KEY=VALUE", command.keys)
    if command.notes:
        lines += ["", *textwrap.wrap(command.notes, WIDTH)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _entry(left: str, right: str) -> list[str]:
    indent = " " * _INDENT
    lines = textwrap.wrap(
        right, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    if len(left) > _INDENT - 4:
        return [f"  {left}", *lines]
    return [f"  {left}".ljust(_INDENT) + lines[0].strip(), *lines[1:]]
