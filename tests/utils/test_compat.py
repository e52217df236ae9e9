"""Each shim: the plain library breaks without it, and works with it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
import warnings
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_intent.utils import compat
from recbole_intent.utils.errors import UserError

PACKAGE = Path(compat.__file__).parent

# The third event of each user has no rating; the ratings that are there have the mean 2.5.
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "".join(
    f"u{user}\ti{(user + step) % 7}\t{'' if step == 2 else user}\t{10 * user + step}\n"
    for user in range(6)
    for step in range(5)
)
# i1 has empty cells; i5 and i6 are in no row: two ways to be missing.
ITEMS = {
    "numbers": "price:float\tbrand:token\ni0\t2\tx\ni1\t\t\ni2\t4\ty\ni3\t3\tx\ni4\t3\ty\n",
    "sequences": (
        "tags:token_seq\tvec:float_seq\n"
        "i0\ta b\t0.5 1\ni1\t\t\ni2\tb c a\t2 1.5\ni3\tc\t1\ni4\ta\t1\n"
    ),
    "complete": "tags:token_seq\n"
    + "".join(f"i{i}\t{'a b c'[: 1 + 2 * (i % 3)]}\n" for i in range(7)),
    "hollow": "price:float\n" + "".join(f"i{i}\t\n" for i in range(7)),
    "holed": "vec:float_seq\n" + "".join(f"i{i}\t1 nan\n" for i in range(7)),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with the tiny datasets above, all with the same interactions."""
    root = tmp_path_factory.mktemp("dataset")
    for name, items in ITEMS.items():
        (root / name).mkdir()
        (root / name / f"{name}.inter").write_text(INTER)
        (root / name / f"{name}.item").write_text(f"item_id:token\t{items}")
    return root


@pytest.fixture
def make(root, monkeypatch):
    """Return (model, dataset, **settings) -> RecBole's config and dataset, with the shims."""
    compat.apply()
    from recbole.config import Config
    from recbole.data import create_dataset

    monkeypatch.setattr(sys, "argv", ["test"])  # RecBole's Config reads the command line

    def make(model: str, name: str, **settings):
        if name in ITEMS:
            # items without a row in the .item file are to stay
            ours = {"data_path": str(root), "load_col": None, "filter_inter_by_user_or_item": False}
            settings = {**ours, **settings}
        config = Config(model, name, config_dict={"use_gpu": False, **settings})
        return config, create_dataset(config)

    return make


def as_tensors(dataset):
    """The dataset with its features as tensors, item features in the order of the ids."""
    dataset._change_feat_format()
    return dataset


def ids(dataset, *items: str):
    return dataset.token2id("item_id", list(items or [f"i{i}" for i in range(7)]))


PLAIN = textwrap.dedent("""
    import json, sys, warnings
    import numpy as np
    import scipy.sparse
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset

    warnings.simplefilter("ignore")
    seen = {}

    def attempt(row, act):
        try:
            seen[row] = act()
        except (AttributeError, ValueError) as error:
            seen[row] = str(error)

    def load(name):
        settings = {"use_gpu": False, "data_path": sys.argv[1], "load_col": None}
        return create_dataset(Config("BPR", name, config_dict=settings))

    attempt("1", lambda: load("numbers"))
    np.float_, np.complex_, np.unicode_ = np.float64, np.complex128, np.str_
    attempt("3", lambda: scipy.sparse.dok_matrix((2, 2))._update({}))
    attempt("4", lambda: load("sequences"))
    attempt("5", lambda: bool(load("numbers").item_feat["price"].isna().any()))
    attempt("14", lambda: load("complete"))
    import recbole.model.sequential_recommender
    seen["15"] = torch.is_anomaly_enabled()
    print(json.dumps(seen))
""")


@pytest.fixture(scope="module")
def without_shims(root) -> dict:
    """Row -> the message of the error, or what was seen, in a process without the shims."""
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(root)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_plain_recbole_breaks(without_shims):
    # When one of these fails, a library has mended itself and its shim can go.
    assert "np.float_" in without_shims["1"]
    assert "_update" in without_shims["3"]
    assert "has no attribute 'split'" in without_shims["4"]
    assert without_shims["5"] is True
    assert "does not match length of index" in without_shims["14"]
    assert without_shims["15"] is True


def test_row_1_config_and_interaction(make):
    from recbole.data.interaction import Interaction

    config, _ = make("BPR", "numbers")
    assert config["model"] == "BPR"
    assert vars(np)["float_"] is np.float64
    # a list is only understood through np.float
    assert Interaction({"item_id": [1, 2]})["item_id"].tolist() == [1, 2]


def test_row_2_torch_load_is_never_patched():
    before = torch.load
    compat.apply()
    assert torch.load is before
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets = node.targets if isinstance(node, ast.Assign) else []
            assert "torch.load" not in [ast.unparse(target) for target in targets], path


def test_row_3_lightgcn_on_ml_100k(make):
    from recbole.data import data_preparation
    from recbole.model.general_recommender import LightGCN

    config, dataset = make("LightGCN", "ml-100k")
    train, _, _ = data_preparation(config, dataset)
    model = LightGCN(config, train.dataset)
    assert torch.isfinite(model.calculate_loss(next(iter(train)))).all()

    # the matrix that _update filled is D^-1/2 A D^-1/2 of the training interactions
    users, items = train.dataset.inter_feat["user_id"], train.dataset.inter_feat["item_id"]
    size = dataset.user_num + dataset.item_num
    adjacency = torch.zeros(size, size, dtype=torch.float64)
    adjacency[users, dataset.user_num + items] = 1
    adjacency[dataset.user_num + items, users] = 1
    scale = (adjacency.sum(1) + 1e-7).rsqrt()
    expected = scale[:, None] * adjacency * scale
    torch.testing.assert_close(model.norm_adj_matrix.to_dense().double(), expected)


def test_row_4_missing_sequences_are_empty(make):
    _, dataset = make("BPR", "sequences")
    feat, rows = as_tensors(dataset).item_feat, ids(dataset)
    tags, vec = feat["tags"][rows], feat["vec"][rows]
    assert tags.dtype == torch.int64
    # 0 is padding: i1 has an empty cell, i5 and i6 have no row
    assert (tags > 0).sum(1).tolist() == [2, 0, 3, 1, 1, 0, 0]
    assert dataset.id2token("tags", tags[2]).tolist() == ["b", "c", "a"]
    torch.testing.assert_close(vec[:2], torch.tensor([[0.5, 1.0], [0.0, 0.0]]))


def test_row_5_missing_numbers_get_the_mean(make):
    _, dataset = make("BPR", "numbers")
    feat, rows = as_tensors(dataset).item_feat, ids(dataset)
    assert feat["price"][rows].tolist() == [2, 3, 4, 3, 3, 3, 3]
    assert (feat["brand"][rows] == 0).nonzero().flatten().tolist() == [1, 5, 6]
    ratings = dataset.inter_feat["rating"].view(6, 5)  # (users, events)
    assert ratings[:, 2].tolist() == [2.5] * 6
    assert ratings[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "column"), [("hollow", "price:float"), ("holed", "vec:float_seq")]
)
def test_row_5_what_cannot_be_filled_is_named(make, name, column):
    with pytest.raises(UserError, match=f"{name}.item.*{column}"):
        make("BPR", name)


def test_row_6_quick_start_is_never_imported():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            names.append(getattr(node, "module", None) or "")
            assert not any(name.startswith("recbole.quick_start") for name in names), path


def test_importing_the_module_is_light():
    code = "import sys, recbole_intent.utils.compat; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def test_row_11_only_recbole_is_hushed():
    def speak(module: str) -> None:
        """Do as RecBole's trainer and as its datasets do, in a module of this name."""
        code = "amp.GradScaler(enabled=False)"
        exec(code, {"__name__": module, "amp": torch.cuda.amp, "__warningregistry__": {}})
        message = "The given NumPy array is not writable, and PyTorch does not support it"
        warnings.warn_explicit(message, UserWarning, f"{module}.py", 1, module)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        compat._hush_recbole_warnings()
        speak("recbole.data.trainer")
        assert heard == []
        speak("mine")
        assert [warning.category for warning in heard] == [FutureWarning, UserWarning]


def test_row_13_plain():
    Pair = namedtuple("Pair", "key value")
    result = compat.plain(
        OrderedDict(
            ndcg=np.float64(0.5),
            ranks=np.array([1, 2]),
            nested=[(np.int64(3), {np.str_("hit"): np.bool_(True)})],
            pair=Pair("k", np.float32(0.25)),
            note=None,
        )
    )
    expected = {
        "ndcg": 0.5,
        "ranks": [1, 2],
        "nested": [(3, {"hit": True})],
        "pair": Pair("k", 0.25),
        "note": None,
    }
    assert repr(result) == repr(expected)


def test_row_14_token_sequences(make):
    _, dataset = make("BPR", "complete")
    tags = as_tensors(dataset).item_feat["tags"][ids(dataset)]
    assert (tags > 0).sum(1).tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert dataset.id2token("tags", tags[2]).tolist() == ["a", "b", "c"]
    assert pd.Series([[1, 2], [3]]).agg(len) == 2  # pandas itself is as it was


def test_row_14_reaches_every_method_that_measures_by_agg():
    import inspect

    import recbole.data.dataset as datasets

    methods = {
        method
        for kind in vars(datasets).values()
        if isinstance(kind, type)
        for method in vars(kind).values()
        if inspect.isfunction(method) and ".agg(len)" in inspect.getsource(method)
    }
    assert {method.__name__ for method in methods} >= {"_remap", "_benchmark_presets"}
    assert all(hasattr(method, "__wrapped__") for method in methods)


def test_row_14_normalized_float_sequences(make):
    _, dataset = make("BPR", "sequences", normalize_field=["vec"])
    # the values lie between 0.5 and 2
    expected = torch.tensor([[0, 1 / 3], [1, 2 / 3]])
    vec = as_tensors(dataset).item_feat["vec"]
    torch.testing.assert_close(vec[ids(dataset, "i0", "i2")], expected)


def test_row_15_anomaly_detection_is_off():
    compat.apply()
    import recbole.model.sequential_recommender  # noqa: F401

    assert not torch.is_anomaly_enabled()


@pytest.mark.parametrize("model", ["SASRec", "BPR", "LightGCN", "GRU4Rec", "BERT4Rec", "Caser"])
def test_recbole_models_run(make, model):
    from recbole.data import data_preparation
    from recbole.utils import get_model

    settings = {"MAX_ITEM_LIST_LENGTH": 5, "train_batch_size": 64}
    if model not in ("BPR", "LightGCN"):
        settings["train_neg_sample_args"] = None  # cross-entropy over all items
    if model == "BERT4Rec":
        settings["mask_ratio"] = 1.0  # its loss is 0 / 0 where no position but the first is masked
    config, dataset = make(model, "sequences", **settings)
    train, valid, _ = data_preparation(config, dataset)
    recommender = get_model(model)(config, train.dataset)
    loss = recommender.calculate_loss(next(iter(train)))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    users = next(iter(valid))[0]
    scores = recommender.full_sort_predict(users).view(len(users), -1)
    assert scores.shape == (len(users), dataset.item_num)
