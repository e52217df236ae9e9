"""Checks and normalization of RecBole's keys for reading, filtering and splitting data.

RecBole reads several values as the opposite of what they say, and silently ignores others.
`keys.py` defines the values of each key; this module checks combinations of keys.
"""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from recbole_intent.utils.errors import UserError

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
    """Return data keys in the form that RecBole interprets correctly.

    Args:
        values: a complete configuration, whose values match their kinds in `keys.py`.

    Returns:
        The keys whose values change.

    Raises:
        UserError: an invalid split, or a filter on files that are already split.
    """
    check_split(values["eval_args"])
    if values.get("benchmark_filename"):
        for key in _FILTERS:
            if values.get(key) and values[key] != "[0,inf)":
                raise UserError(
                    f"{key}: has no effect on files that are split already (benchmark_filename); "
                    "leave one of the two away"
                )
    changed: dict[str, Any] = {}
    if values.get("rm_dup_inter") is False:  # RecBole would remove all copies of a duplicate
        changed["rm_dup_inter"] = None
    if values.get("numerical_features", ()) is None:
        changed["numerical_features"] = []
    if values.get("val_interval"):  # tokens are text: for [1, 2] RecBole would drop all
        changed["val_interval"] = {
            field: [str(token) for token in allowed] if isinstance(allowed, list) else allowed
            for field, allowed in values["val_interval"].items()
        }
    return changed


def check_split(args: Any) -> None:
    """Check `eval_args`: one known split with three parts, a known order and grouping.

    Raises:
        UserError: names the invalid part and the accepted values.
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
