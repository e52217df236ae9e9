from pathlib import Path

import pandas as pd
import pytest

from recbole_intent.data.prepare.checks import check_ids
from recbole_intent.data.sources.raw import RawData
from recbole_intent.utils.errors import UserError


def _raw(name: str) -> RawData:
    users = pd.Series(["u", name, "u"], index=[2, 3, 4], dtype="category")
    frame = pd.DataFrame({"user_id": users, "item_id": users, "file": 0})
    return RawData(frame, None, [Path("x.tsv")])


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "007", "1.0", '"', '"a'])
def test_ids_are_text(name):
    check_ids(_raw(name))


@pytest.mark.parametrize("name", ["", " ", "a ", "\ta", "a\tb", "a\nb", "[PAD]"])
def test_what_is_no_id_is_named_with_its_line(name):
    with pytest.raises(UserError, match=r"x\.tsv line 3: user_id "):
        check_ids(_raw(name))
