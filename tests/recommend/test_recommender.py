"""Lists of a finished run: equal to sorting all scores, whatever the batches and the model."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_intent.config.config import Config
from recbole_intent.data.formats.asked import History
from recbole_intent.recommend.recommender import Recommender
from recbole_intent.runs.evaluate import evaluate_run
from recbole_intent.runs.experiment import build, run
from recbole_intent.trainer.base import BEST
from recbole_intent.utils.errors import UserError

SMALL = {
    "device": "cpu",
    "threads": 1,
    "epochs": 1,
    "show_progress": False,
    "tensorboard": False,
    "train_batch_size": 64,
}
SEQUENCE = {"MAX_ITEM_LIST_LENGTH": 8, "hidden_size": 16, "inner_size": 16}
MODELS = {
    "SASRec": SEQUENCE,
    "RecBole's SASRec": {**SEQUENCE, "fast_sequences": False},
    "IGRSR": {**SEQUENCE, "distiller_size": 8},
    "GRU4Rec": {"MAX_ITEM_LIST_LENGTH": 8},
    "BERT4Rec": SEQUENCE,
    "FPMC": {"MAX_ITEM_LIST_LENGTH": 8},  # reads the user, and rows of negatives
    "STAMP": {"MAX_ITEM_LIST_LENGTH": 8},  # full-width rows
    "SASRecF": {
        **SEQUENCE,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]},
    },
    "BPR": {},
    "LightGCN": {},
    "Pop": {},  # full of equal scores
    "NeuMF": {},  # scores pairs alone
}
SEARCHES = {  # no list of these equals sorting all scores
    "ISRF": {
        **SEQUENCE,
        "n_layers": 1,
        "n_heads": 2,
        "n_negatives": 9,
        "id_tokens": "digits",
        "num_beams": 3,
        "align_weight": 0,
    }
}
NEED_USERS = ("FPMC", "BPR", "LightGCN", "Pop", "NeuMF")
USERS = ["u7", "u0", "u31", "u59"]


@pytest.fixture(scope="module")
def runs(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory):
    """Folder of a small run of each model, made when it is asked for."""
    made = {}

    def folder(name: str) -> Path:
        if name not in made:
            options = {**SMALL, **{**MODELS, **SEARCHES}[name], "data_path": str(tiny_path)}
            options["checkpoint_dir"] = str(tmp_path_factory.mktemp("saved"))
            made[name] = run(name.removeprefix("RecBole's "), "tiny", overrides=options).folder
        return made[name]

    return folder


@pytest.fixture(scope="module")
def interactions(tiny_path: Path) -> dict[str, list[str]]:
    frame = pd.read_csv(tiny_path / "tiny/tiny.inter", sep="\t")
    frame.columns = ["user", "item", "time"]
    frame = frame.sort_values(["user", "time"], kind="stable")
    return {user: items.tolist() for user, items in frame.groupby("user")["item"]}


def lists(table: pd.DataFrame) -> list[list[str]]:
    return [rows["item_id"].tolist() for _, rows in table.groupby("history")]


@pytest.mark.parametrize("name", MODELS)
def test_users_get_what_sorting_all_scores_gives(runs, name, interactions):
    """`history: valid` is what the test rows of RecBole's loader hold: all but the last item."""
    table = Recommender.load(runs(name), history="valid").recommend_users(USERS, 7)
    trainer, data = build(Config.of_run(runs(name)))
    trainer.load_weights(runs(name) / BEST)
    trainer.model.eval()
    names = data.dataset.field2id_token["user_id"]
    expected = {}
    for batch in data.test:
        scores = trainer.scores(batch.interaction, data.dataset.item_num).clone()
        for row, user in zip(scores, names[batch.user], strict=True):
            ids = data.dataset.token2id("item_id", interactions[user][:-1])
            row[torch.from_numpy(ids)] = row[0] = float("-inf")
            best = np.argsort(-row.numpy(), kind="stable")[:7]
            expected[user] = (data.dataset.id2token("item_id", best).tolist(), row[best])
    assert lists(table) == [expected[user][0] for user in USERS]
    for (_, rows), user in zip(table.groupby("history"), USERS, strict=True):
        np.testing.assert_allclose(rows["score"], expected[user][1], rtol=1e-5, atol=1e-6)
        assert rows["user_id"].tolist() == [user] * 7
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert set(rows["source"]) == {"model"}


@pytest.mark.parametrize("name", ["SASRec", "LightGCN"])
def test_similar_items_are_those_of_the_largest_cosine(runs, name):
    recommender = Recommender.load(runs(name))
    table = recommender.similar_items(["i7", "i3"], 5)
    with torch.no_grad():
        if name == "SASRec":
            vectors = recommender.model.item_embedding.weight.detach()
        else:  # after propagation over the graph
            _, vectors = recommender.model()
    unit = (vectors / vectors.norm(dim=1, keepdim=True)).numpy()
    for (_, rows), item in zip(table.groupby("query"), ["i7", "i3"], strict=True):
        number = recommender.item_ids.tolist().index(item)
        cosine = unit @ unit[number]
        cosine[[0, number]] = -2
        best = np.argsort(-cosine, kind="stable")[:5]
        assert rows["item_id"].tolist() == recommender.item_ids[best].tolist()
        np.testing.assert_allclose(rows["cosine"], cosine[best], rtol=1e-4, atol=1e-5)
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
    assert len(recommender.similar_items("i7", 999)) == 39
    assert recommender.similar_items([]).empty
    for items, message in (("me", "item 'me' is not in tiny"), ([True], "is not an id")):
        with pytest.raises(UserError, match=message):
            recommender.similar_items(items)


def test_a_model_without_vectors_has_no_similar_items(runs):
    with pytest.raises(UserError, match="Pop has no item vectors to compare"):
        Recommender.load(runs("Pop")).similar_items("i7")


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NEED_USERS])
@pytest.mark.parametrize("part", ["all", "train"])
def test_a_new_history_like_that_of_a_user_gives_the_same_list(runs, interactions, name, part):
    recommender = Recommender.load(runs(name), history=part)
    kept = slice(None) if part == "all" else slice(-2)
    of_users = recommender.recommend_users(USERS, 5)
    of_items = recommender.recommend([interactions[user][kept] for user in USERS], 5)
    assert lists(of_users) == lists(of_items)
    np.testing.assert_allclose(of_users["score"], of_items["score"], rtol=1e-5, atol=1e-6)


def test_a_search_fills_the_lists_with_what_may_be_in_them(runs, interactions):
    """Three beams for lists of seven: neither they nor the histories make a list shorter."""
    recommender = Recommender.load(runs("ISRF"))
    found = recommender.recommend_users(None, 7)
    for user, rows in found.groupby("user_id"):
        assert not set(rows["item_id"]) & set(interactions[user])
        assert len(rows) == 7
    again = recommender.recommend_users(None, 7, include_history=True)
    assert all(len(set(items)) == 7 for items in lists(again))
    of_items = recommender.recommend([interactions[user] for user in USERS], 7)
    assert len(of_items) == 7 * len(USERS)
    recommender.config["decode"] = "exact"
    exact = recommender.recommend_users(None, 40, include_history=True)
    exact = exact.set_index(["user_id", "item_id"])["score"]
    for table in (found, again):
        scores = table.set_index(["user_id", "item_id"])["score"]
        np.testing.assert_allclose(scores, exact[scores.index], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NEED_USERS)
def test_models_that_score_users_refuse_new_histories(runs, name):
    recommender = Recommender.load(runs(name))
    with pytest.raises(UserError, match=rf"{name} (scores users|reads 'user_id').*--users"):
        recommender.recommend([["i1"]], 3)
    assert len(recommender.recommend_users(None, 3)) == 60 * 3


@pytest.mark.parametrize("name", ["SASRec", "STAMP", "LightGCN", "NeuMF"])
def test_batches_and_chunks_change_nothing(runs, name, monkeypatch):
    whole = Recommender.load(runs(name)).recommend_users(None, 6)
    monkeypatch.setattr("recbole_intent.recommend.asked_histories.CHUNK", 13)
    parts = Recommender.load(runs(name), eval_batch_size=5).recommend_users(None, 6)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-5, atol=1e-6)
    assert whole["history"].tolist() == np.repeat(np.arange(1, 61), 6).tolist()


def test_the_history_leaves_the_list_unless_it_may_stay(runs, interactions):
    recommender = Recommender.load(runs("SASRec"))
    without = recommender.recommend_users(None, 39)
    for user, rows in without.groupby("user_id"):
        assert not set(rows["item_id"]) & set(interactions[user])
        assert len(rows) == min(39, 40 - len(set(interactions[user])))
    all_items = recommender.recommend_users(None, 1000, include_history=True)
    assert all(len(set(items)) == 40 for items in lists(all_items))
    # More than the model reads of a history is excluded too.
    long = [f"i{n}" for n in range(20)]
    assert set(recommender.recommend([long], 40)["item_id"]) == {f"i{n}" for n in range(20, 40)}


def test_without_a_known_item_the_popular_ones(runs, interactions, caplog):
    recommender = Recommender.load(runs("SASRec"))
    histories = [["i1"], [], ["nowhere", "[PAD]", "é"], ["i1", "nowhere"]]
    with caplog.at_level(logging.WARNING, "recbole_intent"):
        table = recommender.recommend(histories, 4)
    assert caplog.messages == [
        "4 of 6 items, in 2 of 4 histories, are not in tiny and were skipped, such as 'nowhere', "
        "'[PAD]', 'é'"
    ]
    source = table.groupby("history")["source"].first().tolist()
    assert source == ["model", "popular", "popular", "model"]
    known, empty, unknown, partly = lists(table)
    assert known == partly
    assert empty == unknown
    training = pd.Series([i for items in interactions.values() for i in items[:-2]])
    count = training.value_counts()
    popular = table[table["history"] == 2]
    assert popular["score"].tolist() == count.iloc[:4].tolist()
    assert [count[item] for item in empty] == count.iloc[:4].tolist()
    assert recommender.recommend([], 4).empty
    assert list(recommender.recommend([], 4)) == list(table)


def test_unknown_users_are_said_and_skipped(runs, caplog):
    with caplog.at_level(logging.WARNING, "recbole_intent"):
        table = Recommender.load(runs("Pop")).recommend_users(["u3", "nobody", "[PAD]", "u3"], 2)
    assert table["user_id"].tolist() == ["u3"] * 4
    assert caplog.messages == [
        "2 of 4 users are not in tiny and were skipped, such as 'nobody', '[PAD]'"
    ]


def test_a_history_keeps_its_name(runs):
    recommender = Recommender.load(runs("SASRec"))
    (chunk,) = recommender.chunks([History(["i1"], "Zoë"), History(["i2"])])
    names = recommender.table(chunk, 1)["user_id"]
    assert names[0] == "Zoë"
    assert names.isna().tolist() == [False, True]


def test_ids_and_titles_of_any_script(tiny_path, tmp_path):
    folder = tmp_path / "data/tiny"
    folder.mkdir(parents=True)
    text = (
        (tiny_path / "tiny/tiny.inter").read_text().replace("\ti", "\tпредмет №").replace("u", "用")
    )
    text = text.replace("用ser_id", "user_id").replace("предмет №tem_id", "item_id")
    (folder / "tiny.inter").write_text(text, "utf-8")
    titles = "".join(f"предмет №{n}\tTítulo 😀 {n}\n" for n in range(40))
    (folder / "tiny.item").write_text(f"item_id:token\ttitle:token_seq\n{titles}", "utf-8")
    options = {**SMALL, **SEQUENCE, "data_path": str(tmp_path / "data")}
    done = run("SASRec", "tiny", overrides={**options, "checkpoint_dir": str(tmp_path / "saved")})
    recommender = Recommender.load(done.folder)
    for table in (
        recommender.recommend([["предмет №3", "предмет №4"]], 3),
        recommender.recommend_users(["用5"], 3),
    ):
        for item, title in zip(table["item_id"], table["title"], strict=True):
            assert title == f"Título 😀 {item.removeprefix('предмет №')}"


def test_noise_and_evaluations_of_the_run_do_not_matter(runs, tiny_path, tmp_path):
    options = {**SMALL, **SEQUENCE, "data_path": str(tiny_path)}
    options |= {"noise": {"ratio": 0.5, "where": "both"}, "checkpoint_dir": str(tmp_path)}
    done = run("SASRec", "tiny", overrides=options)
    evaluate_run(done.folder, {"mask_history": True})
    recommender = Recommender.load(done.folder)
    clean = Recommender.load(runs("SASRec"))
    assert torch.equal(
        recommender.dataset.sequences.fields["item_id_list"],
        clean.dataset.sequences.fields["item_id_list"],
    )


def test_a_run_of_the_direct_task_recommends_from_all_items(runs, tiny_path, tmp_path):
    """And its candidates are not asked for: a folder that was moved may lack them."""
    options = {**SMALL, **SEQUENCE, "data_path": str(tiny_path), "checkpoint_dir": str(tmp_path)}
    done = run("SASRec", "tiny", overrides={**options, "task": "direct", "n_candidates": 20})
    shutil.rmtree(tmp_path / "candidates")
    found = Recommender.load(done.folder).recommend_users(None, 25, include_history=True)
    assert all(len(items) == 25 for items in lists(found))
    assert not (tmp_path / "candidates").exists()


# --- the index --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SASRec", "IGRSR", "GRU4Rec"])
def test_an_exact_index_gives_the_exact_lists(runs, name, caplog):
    exact = Recommender.load(runs(name))
    indexed = Recommender.load(runs(name))
    indexed.use_index()
    for options in ({"include_history": True}, {}):
        with caplog.at_level(logging.INFO, "recbole_intent"):
            found = indexed.recommend_users(None, 5, **options)
        pd.testing.assert_frame_equal(found, exact.recommend_users(None, 5, **options), rtol=1e-5)
    assert (
        caplog.messages.count(
            "index=faiss (exact): recall@5 1.0000 against the exact lists of 60 histories"
        )
        == 1
    )
    # The index cannot find what the histories exclude: the exact search fills up.
    assert lists(indexed.recommend_users(None, 39)) == lists(exact.recommend_users(None, 39))


def test_an_approximate_index_says_its_true_recall(runs, caplog):
    recommender = Recommender.load(runs("SASRec"))
    exact = recommender.recommend_users(None, 1, include_history=True)
    recommender.use_index(exact_up_to=10)
    caplog.clear()  # of the training, if this is the first test of the run
    with caplog.at_level(logging.INFO, "recbole_intent"):
        found = recommender.recommend_users(None, 1, include_history=True)
    assert found["history"].tolist() == list(range(1, 61))
    recall = (found["item_id"] == exact["item_id"]).mean()
    assert 0 < recall < 1
    text = f"(approximate): recall@1 {recall:.4f} against the exact lists of 60 histories"
    assert [text in message for message in caplog.messages] == [True]
    # Where the visited cells hold too few items, the exact search fills up.
    assert len(recommender.recommend_users(None, 5)) == 60 * 5


@pytest.mark.parametrize("name", ["RecBole's SASRec", "BERT4Rec", "BPR"])
def test_models_without_item_vectors_refuse_the_index(runs, name):
    with pytest.raises(UserError, match="does not score by inner products"):
        Recommender.load(runs(name)).use_index()


# --- intents ----------------------------------------------------------------------------------


def test_intents_of_users_and_histories(runs, interactions):
    recommender = Recommender.load(runs("IGRSR"))
    told = recommender.explain_users(USERS, 2)
    assert [line["user_id"] for line in told] == USERS
    for line, user in zip(told, USERS, strict=True):
        weights = [intent["weight"] for intent in line["intents"]]
        assert sum(weights) == pytest.approx(1, abs=1e-5)
        for intent in line["intents"]:
            assert len(intent["items"]) == 2
            assert {item["item_id"] for item in intent["items"]} <= set(interactions[user][-8:])
            cosines = [item["cosine"] for item in intent["items"]]
            assert 1 >= cosines[0] >= cosines[1] >= -1
    same, none = recommender.explain([interactions[USERS[0]], []], 2)
    for intent, other in zip(same["intents"], told[0]["intents"], strict=True):
        assert intent["weight"] == pytest.approx(other["weight"], abs=1e-5)
        assert [i["item_id"] for i in intent["items"]] == [i["item_id"] for i in other["items"]]
    assert none == {"history": 2, "user_id": None, "intents": []}


def test_a_model_without_intents_says_so(runs):
    with pytest.raises(UserError, match="--explain: SASRec has no intents"):
        Recommender.load(runs("SASRec")).explain([["i1"]])


# --- mistakes ---------------------------------------------------------------------------------


def test_mistakes_are_named(runs, tmp_path):
    with pytest.raises(UserError, match=r"no finished run \(no result\.json\)"):
        Recommender.load(tmp_path)
    with pytest.raises(UserError, match="--history=some: not one of train, valid, all"):
        Recommender.load(runs("SASRec"), history="some")
    with pytest.raises(UserError, match="k: 0 must be at least 1"):
        Recommender.load(runs("SASRec")).recommend([["i1"]], 0)


def test_changed_data_is_refused(tiny_path, tmp_path):
    folder = tmp_path / "data/tiny"
    folder.mkdir(parents=True)
    for path in (tiny_path / "tiny").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    options = {**SMALL, "data_path": str(tmp_path / "data"), "checkpoint_dir": str(tmp_path)}
    done = run("Pop", "tiny", overrides=options)
    with (folder / "tiny.inter").open("a") as file:
        file.write("u1\ti1\t99\n")
    with pytest.raises(UserError, match="have changed since"):
        Recommender.load(done.folder)


# --- forms of what is asked for ---------------------------------------------------------------


@pytest.fixture(scope="module")
def numbered(tiny_path, tmp_path_factory):
    """A recommender on `tiny` with the ids 1, 2 … instead of u1, i2 …"""
    root = tmp_path_factory.mktemp("numbered")
    text = (tiny_path / "tiny/tiny.inter").read_text()
    header, rows = text.split("\n", 1)
    (root / "tiny").mkdir()
    (root / "tiny/tiny.inter").write_text(header + "\n" + rows.replace("u", "").replace("i", ""))
    options = {**SMALL, **SEQUENCE, "data_path": str(root), "checkpoint_dir": str(root / "saved")}
    return Recommender.load(run("SASRec", "tiny", overrides=options).folder)


TABLE = pd.DataFrame(
    {"user_id": [7, 3, 7, 3], "item_id": [2, 5, 1, 6], "timestamp": [20, 10, 10, 20]}
)
DATES = ["2024-01-02", "2024-01-01 10:00:00", "2024-01-01", "2024-01-02T01:00:00Z"]


@pytest.mark.parametrize(
    "histories",
    [
        [["1", "2"], ["5", "6"]],
        [[1, 2], (5, 6)],
        ([1.0, 2.0], [np.int64(5), np.float32(6)]),
        np.array([[1, 2], [5, 6]]),
        np.array([["1", "2"], ["5", "6"]]),
        torch.tensor([[1, 2], [5, 6]]),
        ((str(item) for item in pair) for pair in ((1, 2), (5, 6))),
        pd.Series([[1, 2], [5, 6]]),
        [pd.Series([1, 2]), pd.Series(["5", "6"], index=[4, 4])],
        [{"items": [1, 2]}, {"user": 3, "items": [5, 6]}],
        {7: [1, 2], "3": [5, 6]},
        [History(["1", "2"]), [5, 6]],
        TABLE,
        TABLE.astype({"item_id": "float"}),
        TABLE.rename(columns=lambda name: f"{name}:token"),
        TABLE.assign(timestamp=pd.to_datetime(DATES, format="ISO8601", utc=True)),
        TABLE.assign(timestamp=DATES).astype({"user_id": "category"}),
        TABLE.iloc[[2, 0, 1, 3]].drop(columns="timestamp"),
        pd.Series([[1, 2], [5, 6]], index=pd.Index([7, 3], name="user_id")),
    ],
    ids=range(19),
)
def test_histories_of_every_natural_form(numbered, histories):
    found = numbered.recommend(histories, 3)
    assert lists(found) == lists(numbered.recommend([["1", "2"], ["5", "6"]], 3))
    assert set(found["source"]) == {"model"}


@pytest.mark.parametrize(
    "users",
    [
        ["3", "7"],
        [3, 7],
        (3.0, 7.0),
        np.array([3, 7]),
        pd.Series([3.0, 7.0]),
        pd.Series(["3", "7"], dtype="category"),
        torch.tensor([3, 7]),
        iter([np.int32(3), np.str_("7")]),
        pd.Index([3, 7]),
        dict.fromkeys([3, 7]),
        pd.DataFrame({"user_id": [3, 7, 3], "x": 0}),
    ],
    ids=range(11),
)
def test_users_of_every_natural_form(numbered, users):
    expected = numbered.recommend_users(["3", "7"], 3)
    pd.testing.assert_frame_equal(numbered.recommend_users(users, 3), expected)


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ([50, 172], r"history 1: expected a list of item ids, found int 50; write \[\[50\]\]"),
        (["50", "172"], r"history 1: .* found str '50'; write \[\['50'\]\]"),
        (np.array([50, 172]), "history 1: expected a list"),
        (pd.Series(["50"]), "history 1: expected a list"),
        ("50", r"'50' is not a list of histories; write \[\['50'\]\]"),
        (50, r"50 is not a list of histories; write \[\[50\]\]"),
        (None, "None is not a list of histories"),
        ([[1], None], r"history 2: .* found None; an empty one is \[\]"),
        ([[1, None]], "history 1: item None is not an id"),
        ([[1.0, float("nan")]], "history 1: item nan is not an id"),
        ([[1, 2.5]], "item 2.5 is not an id"),
        ([[1, True]], "item True is not an id"),
        ([[[1, 2]]], r"item \[1, 2\] is not an id"),
        ([[b"1"]], "item b'1' is not an id"),
        ([["\ud800"]], "is not an id"),
        ([[10**5000]], "is not an id"),
        ([{1, 2}], "a set has no order"),
        ({"user": 1, "items": [1]}, "is a single one; put it in a list"),
        ([{"user": 1, "item": [1]}], "unknown key; known are user and items"),
        ([{"user": 1}], "lacks `items`"),
        ({"user_id": [1, 1], "item_id": [5, 6]}, "a mapping of columns.* make a table of it"),
        (TABLE.set_axis(["user_id", "item_id", "item_id"], axis=1), "two columns 'item_id'"),
        (TABLE.drop(columns="item_id"), "no column 'item_id' .it has user_id, timestamp"),
        (pd.DataFrame([[1, 2]]), "no column 'user_id' and no 'item_id'"),
        (TABLE.assign(item_id=[1, 2, 3, None]), "history of .*: item_id nan is not an id"),
        (TABLE.assign(timestamp=[1, 2, 3, None]), "row 4: timestamp is empty"),
        (TABLE.assign(timestamp=["1", "2", "3", "soon"]), "row 4: timestamp 'soon' is not a num"),
        ([["a"], ["b", "c"]], r"none of the 3 items is in tiny: 'a', 'b', 'c' …; .* called '\d+'"),
    ],
    ids=range(28),
)
def test_what_is_no_history_is_an_error(numbered, histories, message):
    for ask in (numbered.recommend, lambda asked: list(numbered.chunks(asked))):
        with pytest.raises(UserError, match=message) as caught:
            ask(histories)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ("196", r"users: '196' is not a list of user ids; write \['196'\]"),
        (196, r"users: 196 is not a list of user ids; write \[196\]"),
        (np.int64(196), r"users: 196 is not a list"),
        ([[3], [7]], r"users: number 1: user \[3\] is not an id"),
        ([3, None], "users: number 2: user None is not an id"),
        ([3, float("nan")], "users: number 2: user nan is not an id"),
        (["nobody", 999], r"none of the 2 users is in tiny: 'nobody', '999' …; .* called '\d+'"),
        (pd.DataFrame({"user": [1]}), r"no column 'user_id' \(it has user\)"),
    ],
    ids=range(8),
)
def test_what_is_no_user_is_an_error(numbered, users, message):
    with pytest.raises(UserError, match=message):
        numbered.recommend_users(users)


@pytest.mark.parametrize("k", ["5", 2.0, True, None, 0, -1])
def test_k_is_a_whole_number(numbered, k):
    with pytest.raises(UserError, match="k: "):
        numbered.recommend([[1]], k)


@pytest.mark.parametrize("value", ["no", "False", 0, None])
def test_include_history_is_a_bool(numbered, value):
    with pytest.raises(UserError, match=r"include_history: .* is neither True nor False"):
        numbered.recommend([[1]], 3, include_history=value)


def test_a_series_with_a_named_index_keeps_users(numbered):
    histories = pd.Series([[1], [5]], index=pd.Index([7, 3], name="user_id"))
    assert numbered.recommend(histories, 1)["user_id"].tolist() == ["7", "3"]


def test_tables_with_a_users_column_keep_names_and_order(numbered):
    found = numbered.recommend(TABLE, 1)
    assert found["user_id"].tolist() == ["7", "3"]
