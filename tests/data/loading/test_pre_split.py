"""Files that are already split give the samples, and the numbers, of the same data unsplit."""

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.model.abstract_recommender import SequentialRecommender

from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.data.loading.split import load_data
from recbole_intent.data.loading.training_interactions import training_histories
from recbole_intent.runs.experiment import run
from recbole_intent.utils.errors import UserError

PARTS = ("train", "valid", "test")
SEQUENTIAL = [
    name
    for name in model_names()
    if issubclass(get_spec(name).model_class(), SequentialRecommender)
]
# Read files besides the interactions, which are those of a prepared dataset.
OF_T5 = {"ELMRec", "P5", "POD", "RSL"}
OF_TEXTS = {"ISRF", "LLM4SBR", "LLMESR", "RLMRecSeq", "VELI4SBR"}
OF_CLASSES = {"FDSA", "GRU4RecF", "SASRecF"}
SMALL = {
    "epochs": 1,
    "MAX_ITEM_LIST_LENGTH": 6,
    "train_batch_size": 64,
    "valid_metric": "NDCG@10",
    "device": "cpu",
    "show_progress": False,
    "tensorboard": False,
}
SHAPE = {  # of the models; each has some of them
    "hidden_size": 8,
    "inner_size": 8,
    "embedding_size": 8,
    "n_layers": 1,
    "num_layers": 1,
    "n_heads": 2,
    "num_clusters": 4,
    "passes": "all",  # files of samples have no passes to share
    "distiller_size": 8,
}
ROWS = {
    "dataset": "rows",
    "USER_ID_FIELD": "session_id",
    "load_col": {"inter": ["session_id", "item_id_list", "item_id"]},
    "alias_of_item_id": ["item_id_list"],
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """`whole`, its leave-one-out parts `plain`, and its samples `rows`; 20 users, 4 to 12 items."""
    root, rng = tmp_path_factory.mktemp("pre-split"), np.random.default_rng(3)
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    whole, plain, rows = [], {part: [] for part in PARTS}, {part: [] for part in PARTS}
    for user in range(20):
        n = int(rng.integers(4, 13))
        items = [f"i{(user + step) % 15}" for step in rng.integers(15, size=n)]
        for place, item in enumerate(items):
            part = "test" if place == n - 1 else "valid" if place == n - 2 else "train"
            line = f"u{user}\t{item}\t{1_700_000_000 + 7 * place}\n"
            whole.append(line)
            plain[part].append(line)
            if place:
                rows[part].append(f"u{user}\t{' '.join(items[:place])}\t{item}\n")
    for name, parts, head in (
        ("whole", {"": whole}, header),
        ("plain", plain, header),
        ("rows", rows, "session_id:token\titem_id_list:token_seq\titem_id:token\n"),
    ):
        (root / name).mkdir()
        for part, lines in parts.items():
            if name == "plain":  # the order of a user's lines does not matter: there are times
                lines.sort(
                    key=lambda line: (int(line[1:].split("\t")[0]), -float(line.split("\t")[2]))
                )
            suffix = f".{part}" if part else ""
            (root / name / f"{name}{suffix}.inter").write_text(head + "".join(lines))
        classes = "".join(f"i{item}\tc{item % 3}\n" for item in range(15))
        (root / name / f"{name}.item").write_text("item_id:token\tclass:token\n" + classes)
    return root


def _options(paths, dataset, **more):
    split = {} if dataset == "whole" else {"benchmark_filename": list(PARTS)}
    rows = ROWS if dataset == "rows" else {}
    given = {**SMALL, "data_path": str(paths), **split, **rows, **more}
    given.pop("dataset", None)
    return given


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("form", ["plain", "rows"])
def test_samples_are_those_of_the_data_unsplit(paths, config, form, fast):
    def samples(dataset):
        data = load_data(config(dataset=dataset, **_options(paths, dataset, fast_sequences=fast)))
        found = []
        for split in (data.train._dataset, data.valid.dataset, data.test.dataset):
            feat = split.rows(torch.arange(len(split))) if fast else split.inter_feat
            user, item = (split.field2id_token[f] for f in (split.uid_field, split.iid_field))
            columns = (feat[split.uid_field], feat["item_id_list"], feat["item_id"])
            found.append(
                sorted(
                    (str(user[u]), [str(item[i]) for i in history if i], str(item[target]))
                    for u, history, target in zip(*columns, strict=True)
                )
            )
        return found

    assert samples(form) == samples("whole")


@pytest.mark.parametrize("model", sorted(set(SEQUENTIAL) - OF_TEXTS))
def test_every_sequential_model_gives_the_same_numbers(paths, tmp_path, model):
    results = {}
    for dataset in ("whole", "plain", "rows"):
        given = SHAPE | _options(paths, dataset, checkpoint_dir=str(tmp_path))
        if model != "IGRSR":
            given.pop("distiller_size")  # without effect there, which a run refuses
        if model in OF_T5:
            given["n_negatives"] = 5
        if model in OF_CLASSES and dataset == "rows":
            given["load_col"] = {**given["load_col"], "item": ["item_id", "class"]}
        values = run(model, dataset, overrides=given, allow_unknown=True).result
        results[dataset] = (values["valid"], values["test"])
        assert values["data"]["users"] == 20
    assert results["plain"] == results["whole"]
    assert results["rows"] == results["whole"]


def test_mask_history_of_rows_is_that_of_each_row(paths, config):
    def masked(dataset):
        data = load_data(config(dataset=dataset, **_options(paths, dataset, mask_history=True)))
        (batch,) = data.test
        rows, items = batch.excluded
        pairs = zip(batch.user[rows].tolist(), items.tolist(), strict=True)
        return set(pairs)

    assert masked("rows") == masked("whole") == masked("plain")


def _write(path, text, header="user_id:token\titem_id:token\ttimestamp:float\n"):
    path.parent.mkdir(exist_ok=True)
    path.write_text(header + text)


@pytest.mark.parametrize(
    ("part", "text", "options", "message"),
    [
        (
            "valid",
            "u\tc\t9\n",
            {},
            "x.test.inter:2: user 'u' has a later interaction in the valid",
        ),
        ("test", "u\td\n", {}, "x.test.inter:2: 2 cells"),
        ("test", "u\t[PAD]\t4\n", {}, "x.test.inter:2: item_id is"),
        (
            "test",
            "u\td\t4\n",
            {"benchmark_filename": ["train", "test"]},
            "benchmark_filename: .*is not a list of 3",
        ),
        ("test", "u\td\t4\n", {"benchmark_filename": ["train", "x", "y"]}, "x.x.inter: no such"),
        ("test", "u\td\t4\n", {"rm_dup_inter": "first"}, "rm_dup_inter: has no effect"),
    ],
)
def test_a_bad_part_is_named(tmp_path, config, part, text, options, message):
    for name, row in (
        ("train", "u\ta\t1\nu\tb\t2\n"),
        ("valid", "u\tc\t3\n"),
        ("test", "u\td\t4\n"),
    ):
        _write(tmp_path / "x" / f"x.{name}.inter", text if name == part else row)
    options = {"benchmark_filename": list(PARTS), **options}
    with pytest.raises(UserError, match=message):
        load_data(config(dataset="x", data_path=str(tmp_path), **options))


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
@pytest.mark.parametrize("wrong", ["uid:token\titem_id:token", "user_id:token\titem:token"])
def test_a_part_with_other_columns_is_named(tmp_path, config, model, wrong):
    for name in PARTS:
        header = wrong if name == "test" else "user_id:token\titem_id:token"
        _write(
            tmp_path / "x" / f"x.{name}.inter", "u\ta\t1\nu\tb\t2\n", header + "\ttimestamp:float\n"
        )
    made = config(model, "x", data_path=str(tmp_path), benchmark_filename=list(PARTS))
    with pytest.raises(UserError, match=r"x\.test\.inter: no column"):
        load_data(made)


def test_long_rows_keep_their_last_items(paths, config):
    given = _options(paths, "rows", MAX_ITEM_LIST_LENGTH=3)
    data = load_data(config(dataset="rows", **given))
    frame = pd.read_csv(paths / "rows/rows.test.inter", sep="\t")
    test = data.test.dataset
    rows = test.rows(torch.arange(len(test)))
    token = test.field2id_token["item_id"]
    found = {
        str(test.field2id_token["session_id"][user]): [str(token[item]) for item in history]
        for user, history in zip(rows["session_id"], rows["item_id_list"], strict=True)
    }
    wanted = {row.iloc[0]: row.iloc[1].split()[-3:] for _, row in frame.iterrows()}
    assert found == wanted


@pytest.mark.parametrize("fast", [True, False])
def test_plain_parts_have_the_training_interactions_of_the_whole(paths, config, fast):
    found = {}
    for dataset in ("whole", "plain"):
        made = config(dataset=dataset, **_options(paths, dataset, fast_sequences=fast))
        found[dataset] = training_histories(made, load_data(made).train._dataset).fingerprint()
    assert found["plain"] == found["whole"]


@pytest.mark.parametrize("form", ["plain", "rows"])
def test_padded_rows_run_too(paths, tmp_path, form):
    given = _options(paths, form, checkpoint_dir=str(tmp_path), fast_sequences=False)
    assert run("GRU4Rec", form, overrides={**given, "hidden_size": 8}).result["data"]["users"] == 20
