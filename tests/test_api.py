"""What `import recbole_intent` offers: imported on use, the same in any order of imports."""

import inspect
import subprocess
import sys

import pandas as pd
import pytest

import recbole_intent as ri
from recbole_intent.quick_start import run_recbole_intent
from recbole_intent.utils.errors import UserError

SMALL = {
    "epochs": 1,
    "device": "cpu",
    "hidden_size": 8,
    "inner_size": 8,
    "MAX_ITEM_LIST_LENGTH": 8,
    "tensorboard": False,
    "show_progress": False,
}


def fresh_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_takes_no_time():
    out = fresh_python(
        "import sys; before = {*sys.modules}; import recbole_intent; recbole_intent.__version__\n"
        "print(*sorted({*sys.modules} - before))"
    )
    ours = [name for name in out.split() if name.startswith("recbole")]
    assert ours == ["recbole_intent", "recbole_intent.utils", "recbole_intent.utils.version"]
    assert len(out.split()) < 20


def test_every_name_is_there():
    for name in ri.__all__:
        assert getattr(ri, name) is not None
        assert name in dir(ri)
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        ri.trian  # noqa: B018
    assert ri.UserError is UserError


ORDERS = """
import recbole_intent; import recbole_intent.{0}.{1}
import recbole_intent.{0}.{1} as module; import recbole_intent
from recbole_intent.{0}.{1} import {2}; import recbole_intent
import recbole_intent; recbole_intent.{0}; from recbole_intent.{0}.{1} import {2}
from recbole_intent import {0}; from recbole_intent.{0} import {1}; import recbole_intent
"""
MODULES = [
    ("compare", "reproduce", "__path__"),
    ("tune", "ledger", "Trial"),
    ("enrich", "option_keys", "INTENTS"),
    ("models", "recbole", "SPECS"),
]


def test_a_package_and_its_function_are_one_object():
    """Callable, and its modules reachable, whatever is imported first."""
    code = [
        "import sys",
        "def forget():",
        "    for name in [n for n in sys.modules if n.startswith('recbole_intent')]:",
        "        del sys.modules[name]",
    ]
    for names in MODULES:
        for order in ORDERS.strip().splitlines():
            package, module, name = names
            code += ["forget()", *order.format(*names).split("; ")]
            code += [f"import recbole_intent.{package}.{module}"]
            code += [f"assert callable(recbole_intent.{package})"]
            code += [f"assert recbole_intent.{package}.{module}.{name}"]
    fresh_python("\n".join(code))


def test_signatures_are_those_of_the_functions():
    assert "seeds" in inspect.signature(ri.compare).parameters
    assert "space" in inspect.signature(ri.tune).parameters
    assert "product" in inspect.signature(ri.enrich).parameters


def test_models_are_a_table():
    table = ri.models()
    assert table.loc["IGRSR", "family"] == "sequential"
    assert table.loc["Caser", "paper"] == "RecBole"
    assert table["link"].str.startswith("https://").all()


@pytest.fixture(scope="module")
def small(tiny_path, tmp_path_factory):
    saved = tmp_path_factory.mktemp("api")
    return {**SMALL, "data_path": str(tiny_path), "checkpoint_dir": str(saved)}


def test_run_and_evaluate(small, tiny_path):
    done = ri.run("SASRec", "tiny", **{**small, "epochs": 2})
    assert list(done.metrics.columns) == ["valid", "test"]
    assert done.metrics.loc["ndcg@10", "test"] == done.result["test"]["ndcg@10"]
    assert list(done.curve.index) == [1, 2]
    assert {"loss", "ndcg@10", "seconds"} <= {*done.curve.columns}
    ranks = done.ranks
    lines = (tiny_path / "tiny/tiny.inter").read_text().splitlines()[1:]
    last = {user: item for user, item, _ in (line.split("\t") for line in lines)}
    assert dict(zip(ranks["user_id"], ranks["item_id"], strict=True)) == last
    assert (1 / ranks["rank"]).where(ranks["rank"] <= 10, 0).mean() == pytest.approx(
        done.metrics.loc["mrr@10", "test"], abs=1e-6
    )
    assert repr(done).startswith("Run(SASRec on tiny, seed 2020, epoch ")
    assert len(repr(done)) < 250
    assert "<table" in done._repr_html_()
    again = ri.evaluate(done)
    assert again.metrics["test"].tolist() == done.metrics["test"].tolist()
    assert again.ranks.equals(ranks)
    noisy = ri.evaluate(str(done.folder), noise=0.5)
    assert noisy.conditions == {"noise": {"ratio": 0.5}}
    assert not noisy.ranks.equals(ranks)
    assert "ratio" in repr(noisy)


def test_compare_with_a_model_that_lacks_keys(small, caplog):
    keys = {key: value for key, value in small.items() if key != "device"}
    done = ri.compare(["SASRec", "Pop"], "tiny", seeds=1, **keys, **{"SASRec.n_layers": 1})
    assert done.metrics["model"].tolist()[:2] == ["SASRec", "Pop"]
    assert {"test", "gain", "runs"} <= done.tables.keys()
    assert all(isinstance(table, pd.DataFrame) for table in done.tables.values())
    assert done.figures["metrics"].is_file()
    assert "Pop has no" in caplog.text
    assert "Pop has no hidden_size" in (done.folder / "report.md").read_text()
    assert "<table" in done._repr_html_()
    with pytest.raises(UserError, match=r"seeds=2020: the number of seeds, or a list"):
        ri.compare(["SASRec"], "tiny", seeds=2020)


def test_quick_start_returns_what_recbole_returns(small):
    found = run_recbole_intent("Pop", "tiny", config_dict={
        key: small[key] for key in ("data_path", "checkpoint_dir", "device", "tensorboard")
    })  # fmt: skip
    assert found["best_valid_score"] == found["best_valid_result"]["ndcg@10"]
    assert found["valid_score_bigger"] is True
    assert set(found) == {
        "best_valid_score", "valid_score_bigger", "best_valid_result", "test_result", "folder",
    }  # fmt: skip
    assert found["folder"].startswith(small["checkpoint_dir"])
