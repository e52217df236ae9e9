"""Item tables start from the vectors of a file, by item id, in every model that has a table."""

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_intent.data.formats.item_vectors import matched_vectors
from recbole_intent.data.loading.inputs import Inputs
from recbole_intent.modeling.item_start import item_table
from recbole_intent.nn.initialization import principal_components
from recbole_intent.runs.experiment import build, run
from recbole_intent.utils.errors import UserError

SMALL = {
    "SASRec": {"hidden_size": 8, "inner_size": 8},
    "GRU4Rec": {"embedding_size": 8, "hidden_size": 8},
    "BERT4Rec": {"hidden_size": 8, "inner_size": 8},
    "BPR": {"embedding_size": 8},
    "LightGCN": {"embedding_size": 8},
    "IGRSR": {"hidden_size": 8, "inner_size": 8, "distiller_size": 8},
    "VELI4SBR": {"hidden_size": 8, "inner_size": 8},
    "ICLRec": {"hidden_size": 8, "inner_size": 8},
}


@pytest.fixture
def vectors(tmp_path):
    """Write vectors of this width for all of `tiny`'s items but i0, in another order."""

    def write(width, without=("i0",)):
        rng = np.random.default_rng(3)
        ids = [f"i{i}" for i in rng.permutation(40) if f"i{i}" not in without] + ["unknown"]
        numbers = rng.normal(size=(len(ids), width)).astype(np.float32)
        path = tmp_path / f"v{width}.npy"
        np.save(path, numbers)
        path.with_suffix(".ids.txt").write_text("\n".join(ids) + "\n")
        return str(path), dict(zip(ids, numbers, strict=True))

    return write


def table_of(config):
    trainer, data = build(config)
    table = item_table(trainer.model, data.dataset.item_num).weight.detach().clone()
    return table, data.dataset.field2id_token["item_id"].tolist(), trainer, data


@pytest.mark.parametrize("model", SMALL)
def test_rows_are_the_files_and_the_rest_is_as_before(tiny, vectors, model):
    path, by_id = vectors(6)
    plain, ids, *_ = table_of(tiny(model, **SMALL[model]))
    table, _, trainer, _ = table_of(tiny(model, item_vectors=path, **SMALL[model]))
    place = ids.index("i0")
    for i, name in enumerate(ids[1:], 1):
        if i != place:
            np.testing.assert_array_equal(table[i, :6], by_id[name])
    assert torch.equal(table[:, 6:], plain[:, 6:])
    assert torch.equal(table[place], plain[place])
    assert torch.equal(table[0], plain[0])
    start = trainer.item_start
    assert (start["items"], start["missing"]) == (39, 1)
    assert start["how"] == "6 dimensions, the first of 8 columns"


def test_wider_vectors_are_reduced_by_pca(tiny, vectors):
    path, by_id = vectors(20)
    table, ids, trainer, _ = table_of(tiny("BPR", item_vectors=path, **SMALL["BPR"]))
    names = [name for name in ids[1:] if name != "i0"]
    given = np.stack([by_id[name] for name in names]).astype(np.float64)
    given -= given.mean(axis=0)
    u, s, _ = np.linalg.svd(given, full_matrices=False)
    ours = table[[ids.index(name) for name in names]].double().numpy()
    best = (u[:, :8] * s[:8]) @ (u[:, :8] * s[:8]).T  # the same up to signs
    np.testing.assert_allclose(ours @ ours.T, best, atol=1e-4)
    share = (s[:8] ** 2).sum() / (s**2).sum()
    assert trainer.item_start["how"].endswith(f"reduced to 8 by PCA ({share:.0%} of the variance)")
    flipped = principal_components(-torch.from_numpy(given), 3)[0]
    torch.testing.assert_close(flipped, -principal_components(torch.from_numpy(given), 3)[0])


def test_frozen_vectors_stay_and_are_part_of_the_run(tiny, vectors, tmp_path):
    path, _ = vectors(8, without=())
    options = {"item_vectors": path, **SMALL["SASRec"], "epochs": 1}
    before, _, trainer, data = table_of(tiny(item_vectors_frozen=True, **options))
    trainer.fit(data.train, data.valid)
    assert torch.equal(trainer.model.item_embedding.weight, before)
    _, _, trainer, data = table_of(tiny(**options))
    trainer.fit(data.train, data.valid)
    assert not torch.equal(trainer.model.item_embedding.weight, before)

    given = {**tiny(**options).given.values, "device": "cpu"}
    done = run("SASRec", "tiny", overrides=given, output=tmp_path / "run")
    assert done.result["item_vectors"]["file"] == path
    np.save(path, np.load(path) + 1)
    with pytest.raises(UserError, match="the files that it read have changed"):
        run("SASRec", "tiny", overrides=given, output=tmp_path / "run")
    assert Inputs.of(tiny()).fingerprint == Inputs.of(tiny()).data_fingerprint


@pytest.mark.parametrize(
    ("model", "width", "options", "message"),
    [
        ("SASRec", 8, {"item_vectors_frozen": True}, "1 of 40 items have no vector"),
        ("BPR", 4, {"item_vectors_frozen": True}, "have no vector"),
        ("Pop", 8, {}, "Pop has no table of item vectors"),
        ("SASRec", 8, {"item_init": "distiller"}, "both start the item table"),
    ],
)
def test_what_cannot_be(tiny, vectors, model, width, options, message):
    path, _ = vectors(width)
    with pytest.raises(UserError, match=message):
        build(tiny(model, item_vectors=path, **options, **SMALL.get(model, {})))


def test_parquet_with_lists_or_columns(tmp_path):
    ids, numbers = np.array(["[PAD]", "7", "x"], dtype=object), np.eye(2, dtype=np.float32)
    columns = pd.DataFrame({"item_id": [7, 9], "a": numbers[:, 0], "b": numbers[:, 1]})
    lists = pd.DataFrame({"vector": [*numbers], "id": ["7", "9"]})
    for name, table in {"columns": columns, "lists": lists}.items():
        path = tmp_path / f"{name}.parquet"
        table.to_parquet(path)
        places, found = matched_vectors(path, ids)
        assert places.tolist() == [1]
        np.testing.assert_array_equal(found, numbers[:1])


def test_bad_files_are_named(tmp_path):
    ids = np.array(["[PAD]", "7"], dtype=object)
    np.save(tmp_path / "v.npy", np.eye(2))
    with pytest.raises(UserError, match=r"v\.ids\.txt: no such file: the ids of the rows of v\.n"):
        matched_vectors(tmp_path / "v.npy", ids)
    (tmp_path / "v.ids.txt").write_text("7\n")
    with pytest.raises(UserError, match=r"v\.npy: needs N items and N x D"):
        matched_vectors(tmp_path / "v.npy", ids)
    (tmp_path / "v.npy").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"v\.npy: not an \.npy of N x D"):
        matched_vectors(tmp_path / "v.npy", ids)
    for name, table in {
        "a": pd.DataFrame({"asin": ["7"], "vector": [[1.0]]}),
        "b": pd.DataFrame({"item": ["7", "8"], "vector": [[1.0], [1.0, 2.0]]}),
        "c": pd.DataFrame({"item": ["7"], "title": ["seven"]}),
    }.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
        with pytest.raises(UserError, match=rf"{name}\.parquet: not a table with a column item_id"):
            matched_vectors(tmp_path / f"{name}.parquet", ids)
    (tmp_path / "d.parquet").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"d\.parquet: not a table with"):
        matched_vectors(tmp_path / "d.parquet", ids)
