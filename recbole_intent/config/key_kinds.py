"""Kinds of configuration values: types with ranges, and their descriptions for messages.

`mistake` describes what is wrong with a value, in words that follow its key. `inside` and `outside`
return values at the ends of a range, for tests of a whole table.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

_LARGEST = 2**63 - 1  # largest integer of numpy and torch


class Kind:
    """A type with a range.

    Attributes:
        wanted: the accepted values, in words that follow "is not": `a whole number from 1`.
    """

    if TYPE_CHECKING:  # at runtime it would be the default of a dataclass's field

        @property
        def wanted(self) -> str: ...

    def accepts(self, value: Any) -> bool:
        """Return whether a value is valid."""
        return self.mistake(value) is None

    def mistake(self, value: Any) -> str | None:
        """Describe an invalid value, such as `0 is not a whole number from 1`, or return None."""
        return None if self._is_good(value) else f"{shown(value)} is not {self.wanted}"

    def _is_good(self, value: Any) -> bool:
        raise NotImplementedError

    def inside(self) -> Sequence[Any]:
        """Return accepted values at the ends of the range."""
        raise NotImplementedError

    def outside(self) -> Sequence[Any]:
        """Return refused values: just past the ends, and of other types."""
        raise NotImplementedError


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number; refuses True and 1.0.

    Args:
        least, most: inclusive ends.
    """

    least: int = 0
    most: int = _LARGEST

    @property
    def wanted(self) -> str:
        if self.most == _LARGEST:
            return f"a whole number from {self.least}"
        most = "2**32 - 1" if self.most == 2**32 - 1 else self.most
        return f"a whole number from {self.least} to {most}"

    def _is_good(self, value: Any) -> bool:
        return _is_whole(value) and self.least <= value <= self.most

    def inside(self) -> Sequence[Any]:
        return (self.least, self.most)

    def outside(self) -> Sequence[Any]:
        return (self.least - 1, self.most + 1, float(self.least), True, str(self.least), math.nan)


@dataclass(frozen=True)
class Number(Kind):
    """A finite number, whole or not; refuses True.

    Args:
        least, most: inclusive ends.
        above, below: exclusive ends.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def wanted(self) -> str:
        low = self.least if self.above is None else self.above
        high = self.most if self.below is None else self.below
        if high is None:
            if low is None:
                return "a finite number"
            return f"a number from {low}" if self.above is None else f"a number above {low}"
        left_out = [str(end) for end in (self.above, self.below) if end is not None]
        if low is None:
            return f"a number up to {high}" if self.below is None else f"a number below {high}"
        without = f", {' and '.join(left_out)} excluded" if left_out else ""
        return f"a number in {low} .. {high}{without}"

    def _is_good(self, value: Any) -> bool:
        return (
            is_number(value)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def inside(self) -> Sequence[Any]:
        ends = [end for end in (self.least, self.most) if end is not None]
        if self.above is not None:
            ends.append(math.nextafter(self.above, math.inf))
        if self.below is not None:
            ends.append(math.nextafter(self.below, -math.inf))
        return (*ends, *([0.5] if self.mistake(0.5) is None else []))

    def outside(self) -> Sequence[Any]:
        past = [math.nextafter(self.least, -math.inf)] if self.least is not None else []
        past += [math.nextafter(self.most, math.inf)] if self.most is not None else []
        past += [end for end in (self.above, self.below) if end is not None]
        return (*past, math.nan, math.inf, -math.inf, True, "0.5", 10**400)


@dataclass(frozen=True)
class Flag(Kind):
    """True or False; refuses 0, 1 and words."""

    wanted = "True or False"

    def mistake(self, value: Any) -> str | None:
        return None if isinstance(value, bool) else f"{shown(value)} is neither True nor False"

    def inside(self) -> Sequence[Any]:
        return (True, False)

    def outside(self) -> Sequence[Any]:
        return (0, 1, "True", None, math.nan)


class Choice(Kind):
    """One of several values.

    Args:
        values: words, numbers, True, False or None.
        ignores_case: compare words without case.
    """

    def __init__(self, *values: Any, ignores_case: bool = False) -> None:
        self.values, self.ignores_case = values, ignores_case

    @property
    def wanted(self) -> str:
        names = ", ".join("empty" if value is None else str(value) for value in self.values)
        return f"one of {names}" if len(self.values) > 1 else names

    def mistake(self, value: Any) -> str | None:
        # True == 1 in Python, but they are different choices here.
        if any(value == one and type(value) is type(one) for one in self.values):
            return None
        words = [one for one in self.values if isinstance(one, str)]
        if isinstance(value, str):
            by_lower = {one.lower(): one for one in words}
            if self.ignores_case and value.lower() in by_lower:
                return None
            near = difflib.get_close_matches(value.lower(), by_lower, n=1)
            if near and len(self.values) > 1:
                near_word = by_lower[near[0]]
                return f"{shown(value)} is not {self.wanted}; did you mean {near_word}?"
        return f"{shown(value)} is not {self.wanted}"

    def inside(self) -> Sequence[Any]:
        return self.values

    def outside(self) -> Sequence[Any]:
        return ("no such choice", "", -7, math.nan, [self.values[0]])


class Later(Kind):
    """A kind that is made when it is needed, because its choices may grow.

    Args:
        make: returns the kind.
    """

    def __init__(self, make: Callable[[], Kind]) -> None:
        self.make = make

    @property
    def wanted(self) -> str:
        return self.make().wanted

    def mistake(self, value: Any) -> str | None:
        return self.make().mistake(value)

    def inside(self) -> Sequence[Any]:
        return self.make().inside()

    def outside(self) -> Sequence[Any]:
        return self.make().outside()


@dataclass(frozen=True)
class Holding(Kind):
    """A word, or a list with this word among others, without case: a condition on another key."""

    word: str

    @property
    def wanted(self) -> str:
        return f"a list with {self.word}"

    def _is_good(self, value: Any) -> bool:
        words = value if isinstance(value, list | tuple) else [value]
        return self.word in (str(one).lower() for one in words)

    def inside(self) -> Sequence[Any]:
        return (self.word, [self.word.upper()], ["a", self.word])

    def outside(self) -> Sequence[Any]:
        return ("a", [], None)


@dataclass(frozen=True)
class Word(Kind):
    """Non-empty text, such as a name or path."""

    wanted: str = "a word (a number needs quotes)"

    def _is_good(self, value: Any) -> bool:
        return isinstance(value, str) and value.strip() != "" and "\0" not in value

    def inside(self) -> Sequence[Any]:
        return ("a", "a b/c", "c")

    def outside(self) -> Sequence[Any]:
        return ("", " ", 5, None, True, math.nan, ["a"])


@dataclass(frozen=True)
class Pattern(Kind):
    """Text that matches a pattern.

    Args:
        form: regular expression of the whole text.
        wanted: the pattern in words.
        good, bad: accepted and refused examples.
    """

    form: str
    wanted: str
    good: tuple[str, ...]
    bad: tuple[Any, ...]

    def _is_good(self, value: Any) -> bool:
        return isinstance(value, str) and re.fullmatch(self.form, value) is not None

    def inside(self) -> Sequence[Any]:
        return self.good

    def outside(self) -> Sequence[Any]:
        return (*self.bad, 5, True, math.nan)


class Either(Kind):
    """A value of one of several kinds."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds

    @property
    def wanted(self) -> str:
        return " or ".join(kind.wanted for kind in self.kinds)

    def mistake(self, value: Any) -> str | None:
        mistakes = [kind.mistake(value) for kind in self.kinds]
        if None in mistakes:
            return None
        # The closest kind describes the mistake, if it can name a part or a near word.
        for kind, mistake in zip(self.kinds, filter(None, mistakes), strict=True):
            if isinstance(kind, Parts) and isinstance(value, Mapping):
                return mistake
            if isinstance(kind, Choice) and isinstance(value, str) and "did you mean" in mistake:
                return f"{shown(value)} is not {self.wanted}; {mistake.rpartition('; ')[2]}"
        return f"{shown(value)} is not {self.wanted}"

    def inside(self) -> Sequence[Any]:
        return [value for kind in self.kinds for value in kind.inside()]

    def outside(self) -> Sequence[Any]:
        every = [value for kind in self.kinds for value in kind.outside()]
        return [value for value in every if not self.accepts(value)]


class Optional(Either):
    """A kind, or None for an empty key."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind, Choice(None))

    @property
    def wanted(self) -> str:
        return f"{self.kinds[0].wanted}, or empty"

    def mistake(self, value: Any) -> str | None:
        mistake = None if value is None else self.kinds[0].mistake(value)
        return mistake and mistake.replace(self.kinds[0].wanted, self.wanted)


@dataclass(frozen=True)
class Listing(Kind):
    """A list of values of one kind.

    Args:
        kind: of each element.
        least, most: bounds of the length.
        unique: refuse duplicates (words are compared without case).
        alone: a value without brackets stands for a list of one.
    """

    kind: Kind
    least: int = 1
    most: int | None = None
    unique: bool = False
    alone: bool = False

    @property
    def wanted(self) -> str:
        count = f"{self.least} " if self.most == self.least else ""
        one = self.kind.wanted.removeprefix("a ").removeprefix("one of ")
        each = f"a list of {count}{one}" if count else f"a list, each {self.kind.wanted}"
        return f"{self.kind.wanted}, or {each}" if self.alone else each

    def mistake(self, value: Any) -> str | None:
        if not isinstance(value, list | tuple):
            if not self.alone:
                return f"{shown(value)} is not {self.wanted}"
            return self.kind.mistake(value)
        if len(value) < self.least or len(value) > (self.most or len(value)):
            count = f"an empty list is not {self.wanted}" if not value else None
            return count or f"{shown(value)} is not {self.wanted}"
        for i, one in enumerate(value):
            mistake = self.kind.mistake(one)
            if mistake:
                return mistake
            if self.unique and _folded(one) in map(_folded, value[:i]):
                return f"{shown(one)} is given twice"
        return None

    def inside(self) -> Sequence[Any]:
        count = max(self.least, 1)
        good = self.kind.inside()
        lists = (
            [[one] * count for one in good]
            if not self.unique or count == 1
            else [list(good[:count])]
        )
        return [*lists, *([] if self.least else [[]]), *(good if self.alone else [])]

    def outside(self) -> Sequence[Any]:
        good = self.kind.inside()
        bad = [[one] for one in self.kind.outside()]
        bad += [[]] if self.least else []
        bad += [[good[0], good[0]]] if self.unique else []
        bad += [[good[0]] * (self.most + 1)] if self.most else []
        return [*bad, *(one for one in (None, True, math.nan) if not self.accepts(one))]


@dataclass(frozen=True)
class Parts(Kind):
    """A mapping with known parts.

    Args:
        parts: name -> kind of its value.
        required: parts that must be present.
        one: require exactly one of the parts.
        example: a complete mapping, for the message.
    """

    parts: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    one: bool = False
    example: str = ""

    @property
    def wanted(self) -> str:
        return f"a mapping such as {self.example or '{' + ', '.join(self.parts) + '}'}"

    def mistake(self, value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return f"{shown(value)} is not {self.wanted}"
        for name, part in value.items():
            if name not in self.parts:
                near = difflib.get_close_matches(str(name), self.parts, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                return f"unknown part {shown(name)}; known are {', '.join(self.parts)}{hint}"
            mistake = self.parts[name].mistake(part)
            if mistake:
                return f"{name}: {mistake}"
        for name in self.required:
            if name not in value:
                return f"{name} is missing; give {self.wanted}"
        if self.one and len(value) != 1:
            return f"{shown(value)}: exactly one of {', '.join(self.parts)} is needed"
        return None

    def _whole(self) -> dict[str, Any]:
        names = [*self.parts][:1] if self.one else [*self.parts]
        return {name: self.parts[name].inside()[0] for name in names}

    def inside(self) -> Sequence[Any]:
        whole = self._whole()
        if self.one:
            return [{n: value} for n, kind in self.parts.items() for value in kind.inside()]
        varied = [{**whole, n: v} for n, kind in self.parts.items() for v in kind.inside()]
        needed = {name: whole[name] for name in self.required}
        return [whole, needed, *varied]

    def outside(self) -> Sequence[Any]:
        whole = {} if self.one else self._whole()
        bad = [{**whole, n: v} for n, kind in self.parts.items() for v in kind.outside()]
        bad += [{k: v for k, v in whole.items() if k != name} for name in self.required]
        bad += [{}, {n: kind.inside()[0] for n, kind in self.parts.items()}] if self.one else []
        return [*bad, {**whole, "no such part": 1}, 1.0, "x", [whole], math.nan]


@dataclass(frozen=True)
class Table(Kind):
    """A mapping from any words to values of one kind.

    Args:
        kind: of each value.
        wanted: description for the message.
    """

    kind: Kind
    wanted: str

    def mistake(self, value: Any) -> str | None:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            return f"{shown(value)} is not {self.wanted}"
        for name, one in value.items():
            mistake = self.kind.mistake(one)
            if mistake:
                return f"{name}: {mistake}"
        return None

    def inside(self) -> Sequence[Any]:
        return [{}, *({"x": one} for one in self.kind.inside())]

    def outside(self) -> Sequence[Any]:
        return [*({"x": one} for one in self.kind.outside()), {1: 1}, "x", 1, math.nan]


@dataclass(frozen=True)
class Interval(Kind):
    """Intervals in RecBole's notation, `[5,inf)`, separated by `;`."""

    wanted: str = 'an interval such as "[5,inf)" or "(0,1];[3,4)"'
    several: bool = True

    def _is_good(self, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        pieces = value.split(";")
        return (self.several or len(pieces) == 1) and all(map(_is_interval, pieces))

    def inside(self) -> Sequence[Any]:
        return ["[0,inf)", "(-1.5,2]", *(["(0,1];[3,4)"] if self.several else [])]

    def outside(self) -> Sequence[Any]:
        bad = ["[5,inf", "5", "[5]", "[a,b]", "[9,5]", "(5,5)", "[nan,5]", "", 5, None, math.nan]
        return [*bad, *([] if self.several else ["(0,1];[3,4)"])]


@dataclass(frozen=True)
class Where(Kind):
    """A kind with a further condition.

    Args:
        kind: kind of the value.
        holds: the condition.
        wanted: kind and condition in words.
        bad: values that only the condition refuses.
    """

    kind: Kind
    holds: Callable[[Any], bool]
    wanted: str
    bad: tuple[Any, ...] = field(default=())

    def mistake(self, value: Any) -> str | None:
        mistake = self.kind.mistake(value)
        if mistake:
            return mistake
        return None if self.holds(value) else f"{shown(value)} is not {self.wanted}"

    def inside(self) -> Sequence[Any]:
        return [value for value in self.kind.inside() if self.holds(value)]

    def outside(self) -> Sequence[Any]:
        return [*self.kind.outside(), *self.bad]


@dataclass(frozen=True)
class Anything(Kind):
    """Any YAML value without non-finite numbers."""

    wanted: str = "finite"

    def mistake(self, value: Any) -> str | None:
        bad = next((one for one in _leaves(value) if not _is_finite(one)), None)
        return None if bad is None else f"{shown(bad)} is not a finite number"

    def inside(self) -> Sequence[Any]:
        return (None, 1, "x", [1, {"a": 2.5}])

    def outside(self) -> Sequence[Any]:
        return (math.nan, [math.inf], {"a": [-math.inf]})


def like(default: Any) -> Kind:
    """Return the kind of a key without a row, by its default."""
    if isinstance(default, bool):
        return Flag()
    if isinstance(default, int):
        return Whole(-_LARGEST)
    if isinstance(default, float):
        return Number()
    if isinstance(default, str) and default:
        return Word()
    if isinstance(default, list) and default:
        kinds = {type(one) for one in default}
        if kinds == {int}:
            return Listing(Whole(-_LARGEST), alone=True)
        if kinds <= {int, float}:
            return Listing(Number(), alone=True)
    return Anything()


def shown(value: Any) -> str:
    """Format a value as one short line for a message."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    if isinstance(value, Mapping | list | tuple) and any(
        isinstance(one, int) and abs(one) >= 10**40 for one in _leaves(value)
    ):
        return "a value with a number of more than 40 digits"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}…"


def is_number(value: Any) -> bool:
    """Return whether a value is a finite int or float in the range of floats, and not a bool."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -1.7e308 < value < 1.7e308  # False for nan
        and (isinstance(value, float) or abs(value) <= _LARGEST)
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _leaves(value: Any, depth: int = 0) -> Iterable[Any]:
    if depth < 50 and isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if depth < 50 and isinstance(value, list | tuple | set):
        for one in value:
            yield from _leaves(one, depth + 1)
    else:
        yield value


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _is_interval(text: str) -> bool:
    match = re.fullmatch(r"\s*([\[(])([^,\[\]()]+),([^,\[\]()]+)([\])])\s*", text)
    if not match:
        return False
    try:
        low, high = float(match[2]), float(match[3])
    except ValueError:
        return False
    return low < high or (low == high and match[1] == "[" and match[4] == "]")
