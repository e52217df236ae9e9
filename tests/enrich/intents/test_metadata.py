"""Categories as intents: the telling ones, split as the column is written."""

import numpy as np
import pytest

from recbole_intent.data.formats.item_categories import item_categories
from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.data.loading.training_interactions import TrainingHistories
from recbole_intent.enrich.intents.metadata import frequent_categories, metadata_intents
from recbole_intent.enrich.intents.pool import IntentPool
from recbole_intent.utils.errors import UserError


@pytest.fixture
def texts(tmp_path):
    def make(column: str, *values: str) -> ItemTexts:
        lines = [f"item_id:token\t{column}", *(f"i{n}\t{v}" for n, v in enumerate(values))]
        (tmp_path / "d.item").write_text("\n".join(lines) + "\n")
        return ItemTexts(tmp_path / "d.item", [f"i{n}" for n in range(len(values))])

    return make


@pytest.mark.parametrize(
    ("column", "values", "names"),
    [
        ("categories:token_seq", ("A > Creams, Gels", "A > C"), [("Creams, Gels",), ("C",)]),
        ("genres:token_seq", ("Drama|War", "Comedy"), [("Drama", "War"), ("Comedy",)]),
        ("class:token_seq", ("Drama War", ""), [("Drama", "War"), ()]),
        ("category:token", ("Board games", "Toy cars"), [("Board games",), ("Toy cars",)]),
        ("genre:token", ("Rock, Pop", "Jazz"), [("Rock", "Pop"), ("Jazz",)]),
    ],
)
def test_columns_are_split_as_they_are_written(texts, column, values, names):
    assert item_categories(texts(column, *values)) == (column.partition(":")[0], names)


def test_no_such_column_is_named(texts):
    with pytest.raises(UserError, match=r"d\.item: no column of categories"):
        item_categories(texts("title:token_seq", "a lamp"))


def test_the_last_item_tells_nothing_and_rare_categories_tell_more():
    items = np.array([0, 1, 2, 3, 2, 3])
    ids = np.array([f"i{n}" for n in range(4)], dtype=object)
    sessions = TrainingHistories(
        np.array(["a", "b"], dtype=object), items, np.array([0, 3, 6]), ids
    )
    names = [("common", "rare"), ("common",), ("last",), ()]
    pool = IntentPool()
    found = list(metadata_intents(sessions, np.array([0, 1]), names, pool, 2))
    assert found[0].intents == ("common", "rare")  # 2 log(4 / 2) = log(4 / 1): by name
    assert found[1].intents == ("last",)
    assert [line.attempts for line in found] == [0, 0]
    assert frequent_categories(names, 2) == ["common", "last"]


def test_a_session_without_categories_has_no_intent():
    ids = np.array(["i0", "i1"], dtype=object)
    sessions = TrainingHistories(
        np.array(["a"], dtype=object), np.array([0, 1]), np.array([0, 2]), ids
    )
    (line,) = metadata_intents(sessions, np.array([0]), [(), ("x",)], IntentPool(), 3)
    assert (line.intents, line.passed) == ((), False)
