"""Values that RecBole takes for their opposite, and splits that lack a part."""

import pytest

from recbole_intent.utils.errors import UserError

RS = "{RS: [0.8, 0.1, 0.1]}"


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"RS": [0.8, 0.2]}, "lacks a test part"),
        ({"RS": [1]}, "lacks a validation and test part"),
        ({"RS": [0.7, 0.1, 0.1, 0.1]}, "has 4 parts"),
        ({"RS": [0.8, 0, 0.2]}, "leaves no validation part"),
        ({"RS": [0.8, 0.2, 0]}, "leaves no test part"),
        ({"RS": [0, 0.5, 0.5]}, "leaves no training part"),
        ({"TS": [0.9, 0.1]}, "lacks a test part"),
        ({"LS": "test_only"}, "lacks a validation part"),
        ({"LS": "valid_only"}, "lacks a test part"),
        ({"LS": "valid_and_test", "RS": [0.8, 0.1, 0.1]}, "exactly one of"),
        ({}, "exactly one of"),
    ],
)
def test_a_split_with_other_parts(tiny, split, message):
    with pytest.raises(UserError, match=rf"eval_args: split.*{message}"):
        tiny("BPR", eval_args={"split": split})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"rm_dup_inter": False}, None),
        ({"rm_dup_inter": None}, None),
        ({"rm_dup_inter": "last"}, "last"),
        ({"val_interval": {"item_id": [1, "x"]}}, {"item_id": ["1", "x"]}),
        ({"numerical_features": None}, []),
        ({"unload_col": {"inter": ["rating"]}}, {"inter": ["rating"]}),
    ],
)
def test_values_as_they_are_meant(tiny, given, read):
    ((key, _),) = given.items()
    made = tiny("BPR", **given)
    assert made[key] == read
    if key == "unload_col":
        assert made["load_col"]["inter"] == "*"
