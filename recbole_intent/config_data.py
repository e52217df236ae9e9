"""Keys of RecBole that say which data are read, filtered and split: checked, and made plain.

RecBole takes several values for the opposite of what they say (`rm_dup_inter: False` removes both
of two equal rows), and passes over others in silence (an interval that it cannot read filters
nothing, or drops one row). Here `False` and an empty value mean no, and anything else is read as
it is documented or is an error.
"""

import math
import re
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from recbole_intent.errors import UserError

_INTERVAL = re.compile(r"\s*([\[(])\s*([^,\[\]()]+?)\s*,\s*([^,\[\]()]+?)\s*([\])])\s*")
_FORM = "an interval such as '[5,inf)' or '(0,10];[20,30]', or nothing"
_SPLITS = {
    "RS": "{RS: [0.8, 0.1, 0.1]}",
    "LS": "{LS: valid_and_test}",
    "TS": "{TS: [0.8, 0.1, 0.1]}",
}
_PARTS = ("training", "validation", "test")
_FILTERS = (
    "rm_dup_inter",
    "val_interval",
    "user_inter_num_interval",
    "item_inter_num_interval",
)


def plain_data_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that say which data are used, in the form in which RecBole reads them rightly.

    Args:
        values: a whole configuration.

    Returns:
        Those of the keys whose values change.

    Raises:
        UserError: a value that cannot be, with its key and what is accepted.
    """
    changed = {}
    for key, read in _READERS.items():
        if key in values and not (read is _switch and values[key] is False):
            value = read(key, None if values[key] is False else values[key])
            if value is not values[key]:
                changed[key] = value
    check_split(values["eval_args"])
    result = {**values, **changed}
    if result.get("benchmark_filename"):
        for key in _FILTERS:
            if result.get(key) is not None and not _filters_nothing(result[key]):
                raise UserError(
                    f"{key}: has no effect on files that are split already (benchmark_filename); "
                    "leave one of the two away"
                )
    return changed


def check_split(args: Any) -> None:
    """Check `eval_args`: one known split with three parts, a known order and grouping.

    Raises:
        UserError: naming the part and what is accepted.
    """
    if not isinstance(args, Mapping):
        raise UserError(f"eval_args: {args!r} is not a mapping of split, order, group_by, mode")
    split = args.get("split")
    forms = ", ".join(_SPLITS.values())
    if not isinstance(split, Mapping) or len(split) != 1 or next(iter(split)) not in _SPLITS:
        raise UserError(f"eval_args: split: {split!r} is not one of {forms}")
    ((kind, value),) = split.items()
    where = f"eval_args: split: {kind}: {value!r}"
    if kind == "LS":
        lacking = {"valid_only": "test", "test_only": "validation"}.get(str(value))
        if lacking:
            raise UserError(f"{where} lacks a {lacking} part; give {_SPLITS['LS']}")
        if value != "valid_and_test":
            raise UserError(f"{where} is not valid_and_test")
    else:
        _check_ratios(where, value, _SPLITS[kind])
    if args.get("order") not in ("TO", "RO"):
        raise UserError(
            f"eval_args: order: {args.get('order')!r} is neither TO (by time) nor RO (random)"
        )
    if str(args.get("group_by") or "none").lower() not in ("user", "none"):
        raise UserError(f"eval_args: group_by: {args['group_by']!r} is neither user nor none")
    if not isinstance(args.get("mode"), str | Mapping):
        raise UserError(f"eval_args: mode: {args.get('mode')!r} is not full")


def _check_ratios(where: str, value: Any, form: str) -> None:
    is_list = isinstance(value, list | tuple)
    if not is_list or not all(_is_real(part) and part >= 0 for part in value):
        raise UserError(f"{where} is not a list of three shares; give {form}")
    if len(value) < 3:
        lacking = " and ".join(_PARTS[max(len(value), 1) :]) if value else "every"
        raise UserError(f"{where} lacks a {lacking} part; give three shares, such as {form}")
    if len(value) > 3:
        raise UserError(f"{where} has {len(value)} parts; training, validation and test are three")
    for name, part in zip(_PARTS, value, strict=True):
        if part == 0:
            raise UserError(f"{where} leaves no {name} part: its share is 0; give {form}")


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _duplicates(key: str, value: Any) -> Any:
    if value not in (None, "first", "last") or isinstance(value, bool):
        raise UserError(
            f"{key}: {value!r} is none of first (keep the earliest of a user's equal items), "
            "last, or False (keep all)"
        )
    return value


def _interval(key: str, value: Any) -> str | None:
    """The same intervals, after a look at each; None for no filter."""
    if value is None:
        return None
    pieces = str(value).split(";") if isinstance(value, str) else [""]
    for piece in pieces:
        match = _INTERVAL.fullmatch(piece)
        try:
            low, high = (float(number) for number in match.group(2, 3)) if match else (1.0, 0.0)
        except ValueError:
            low, high = 1.0, 0.0
        if not low <= high:  # nan, too
            raise UserError(f"{key}: {value!r} is not {_FORM}")
    return value


def _filters_nothing(value: Any) -> bool:
    return isinstance(value, str) and value.replace(" ", "") == "[0,inf)"


def _value_intervals(key: str, value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise UserError(f"{key}: {value!r} is not a mapping such as {{rating: '[3,inf)'}}")
    read = {}
    for field, allowed in value.items():
        if isinstance(allowed, list | tuple):  # of a token column: the ids to keep, as text
            if not allowed:
                raise UserError(f"{key}: {field}: an empty list keeps nothing")
            read[str(field)] = [str(token) for token in allowed]
        else:
            read[str(field)] = _interval(f"{key}: {field}", allowed)
    return {field: allowed for field, allowed in read.items() if allowed is not None} or None


def _names(key: str, value: Any) -> list[str] | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise UserError(f"{key}: {value!r} is not a list of names, such as [first, second]")
    return list(value)


def _columns(key: str, value: Any) -> dict[str, Any] | None:
    form = "a mapping such as {inter: [user_id, item_id]}"
    if value is None or value == {}:
        return None
    if not isinstance(value, Mapping):
        raise UserError(f"{key}: {value!r} is not {form}")
    if not all(
        names == "*" if isinstance(names, str) else isinstance(names, list | tuple)
        for names in value.values()
    ):
        raise UserError(f"{key}: {value!r} is not {form}")
    return dict(value)


def _parts(key: str, value: Any) -> list[str] | None:
    names = _names(key, value)
    if names is not None and (len(names) != 3 or len(set(names)) < 3):
        raise UserError(
            f"{key}: {value!r} is not a list of three different parts, such as [train, valid, test]"
        )
    return names


def _numerical(key: str, value: Any) -> list[str]:
    return _names(key, value) or []


def _mapping(key: str, value: Any) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{key}: {value!r} is not a mapping of columns")
    return value or None


def _lengths(key: str, value: Any) -> Mapping[str, Any] | None:
    for field, length in (_mapping(key, value) or {}).items():
        if not isinstance(length, int) or isinstance(length, bool) or length < 1:
            raise UserError(f"{key}: {field}: {length!r} is not a whole number from 1")
    return value or None


def _switch(key: str, value: Any) -> Any:
    if value not in (None, True):
        raise UserError(f"{key}: {value!r} is neither True nor False")
    return value


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise UserError(f"{key}: {value!r} is not a text such as '\\t' or ','")
    return value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "rm_dup_inter": _duplicates,
    "user_inter_num_interval": _interval,
    "item_inter_num_interval": _interval,
    "val_interval": _value_intervals,
    "load_col": _columns,
    "unload_col": _columns,
    "unused_col": _columns,
    "alias_of_user_id": _names,
    "alias_of_item_id": _names,
    "additional_feat_suffix": _names,
    "normalize_field": _names,
    "numerical_features": _numerical,
    "benchmark_filename": _parts,
    "discretization": _mapping,
    "threshold": _mapping,
    "preload_weight": _mapping,
    "seq_len": _lengths,
    "normalize_all": _switch,
    "filter_inter_by_user_or_item": _switch,
    "field_separator": _text,
    "seq_separator": _text,
}
