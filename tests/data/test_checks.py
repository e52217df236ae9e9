import io

import pandas as pd

from recbole_intent.data.checks import MISSING


def test_missing_values_are_those_of_pandas():
    """RecBole reads atomic files by pandas, with its Python engine and default missing values."""
    text = "name\tx\n" + "".join(f"{name}\t1\n" for name in sorted(MISSING))
    frame = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, engine="python")
    assert frame["name"].isna().all()
