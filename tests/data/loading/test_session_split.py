"""A split by session: what is trained on and ranked, by both paths, and what it refuses."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_intent.config.config import Config
from recbole_intent.data.formats.session_files import read_split
from recbole_intent.data.loading.inputs import Inputs
from recbole_intent.data.loading.known_histories import KnownHistories
from recbole_intent.data.loading.split import load_data
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError


@pytest.fixture(scope="module")
def sessions(session_path) -> dict[str, dict[str, list[str]]]:
    """Items of each session by part, as they stand in the files."""
    inter = pd.read_csv(session_path / "walks/walks.inter", sep="\t", dtype=str)
    part = read_split(session_path / "walks/walks.split", "\t")
    items = inter.groupby("user_id:token", sort=False)["item_id:token"].agg(list)
    assert set(items.index) == set(part.index)
    return {name: items[part[part == name].index].to_dict() for name in ("train", "valid", "test")}


def _triples(data, rows) -> list[tuple[str, tuple[str, ...], str]]:
    """(session, history, target) of RecBole's padded rows, sorted."""
    ids = data.dataset.id2token
    return sorted(
        (
            ids("user_id", user),
            tuple(ids("item_id", item) for item in history[:length]),
            ids("item_id", target),
        )
        for user, history, length, target in zip(
            rows["user_id"].tolist(),
            rows["item_id_list"].tolist(),
            rows["item_length"].tolist(),
            rows["item_id"].tolist(),
            strict=True,
        )
    )


def _rows(split):
    indexed = hasattr(split, "rows")
    return split.rows(np.arange(len(split.inter_feat))) if indexed else split.inter_feat


@pytest.mark.parametrize("fast", [True, False])
def test_training_has_every_position_and_the_others_their_last_items(walks, sessions, fast):
    data = load_data(walks(fast_sequences=fast))
    prefixes = [
        (name, tuple(items[:n]), items[n])
        for name, items in sessions["train"].items()
        for n in range(1, len(items))
    ]
    assert _triples(data, _rows(data.train._dataset)) == sorted(prefixes)
    for part, loader in (("valid", data.valid), ("test", data.test)):
        last = [(name, tuple(items[:-1]), items[-1]) for name, items in sessions[part].items()]
        assert _triples(data, _rows(loader.dataset)) == sorted(last)
        assert len(last) > 5
    trained = {item for items in sessions["train"].values() for item in items}
    assert trained == set(data.dataset.field2id_token["item_id"][1:])
    assert "late" not in trained
    assert "timeless#1" not in data.dataset.field2id_token["user_id"]


def test_a_longer_session_than_the_window_keeps_its_last_items(walks, sessions):
    fast, padded = (
        load_data(walks(MAX_ITEM_LIST_LENGTH=4, fast_sequences=fast)) for fast in (True, False)
    )
    for name in ("valid", "test"):
        a, b = (getattr(data, name).dataset for data in (fast, padded))
        assert _triples(fast, _rows(a)) == _triples(padded, _rows(b))
    for name, history, target in _triples(fast, _rows(fast.test.dataset)):
        assert list(history) == sessions["test"][name][:-1][-4:]
        assert target == sessions["test"][name][-1]


@pytest.mark.parametrize("passes", ["all", 1])
@pytest.mark.parametrize("which", ["all", "last"])
def test_train_targets(walks, sessions, which, passes):
    made = walks(train_targets=which, passes=passes)
    data = load_data(made, shares_passes=True)
    found = []
    for batch in data.train:
        ids = data.dataset.id2token("user_id", batch["user_id"].numpy())
        lengths, targets = batch["item_length"], batch["item_id"]
        for name, length, target in zip(ids, lengths, targets, strict=True):
            length, target = length.reshape(-1), target.reshape(-1)
            found += [
                (str(name), int(n), data.dataset.id2token("item_id", int(item)))
                for n, item in zip(length[target > 0], target[target > 0], strict=True)
            ]
    wanted = [
        (name, n, items[n])
        for name, items in sessions["train"].items()
        for n in (range(1, len(items)) if which == "all" else [len(items) - 1])
    ]
    assert sorted(found) == sorted(wanted)
    # what a session is known to hold does not depend on what of it is a target
    assert (
        data.train._dataset.inter_matrix().nnz
        == load_data(walks()).train._dataset.inter_matrix().nnz
    )


def test_train_targets_last_on_a_dataset_of_users(tiny):
    data = load_data(tiny(train_targets="last"))
    whole = data.train._dataset
    last = {}
    for user, target in zip(
        whole.inter_feat["user_id"].tolist(),
        whole.inter_feat["sequence_target"].tolist(),
        strict=True,
    ):
        last[user] = max(target, last.get(user, 0))
    found = torch.cat([batch["user_id"] for batch in data.train])
    assert sorted(found.tolist()) == sorted(last)
    chosen = whole.inter_feat[torch.from_numpy(whole.last_samples())]
    assert last == dict(
        zip(chosen["user_id"].tolist(), chosen["sequence_target"].tolist(), strict=True)
    )


@pytest.mark.parametrize("fast", [True, False])
def test_masked_history_is_the_sessions_own(walks, sessions, fast):
    data = load_data(walks(mask_history=True, fast_sequences=fast))
    ids = data.dataset.id2token
    for name, loader in (("valid", data.valid), ("test", data.test)):
        seen = 0
        for batch in loader:
            row, item = batch.excluded
            for r, user in enumerate(batch.user.tolist()):
                items = {ids("item_id", i) for i in item[row == r].tolist()}
                assert items == set(sessions[name][ids("user_id", user)][:-1])
                seen += 1
        assert seen == len(sessions[name])


@pytest.mark.parametrize("fast", [True, False])
def test_known_histories(walks, sessions, fast):
    """`train` knows of a tested session what its evaluation knew; `all` knows its target too."""
    made = walks(fast_sequences=fast)
    data = load_data(made)
    known = {part: KnownHistories.of(made, data, part) for part in ("train", "valid", "all")}
    number = {name: n for n, name in enumerate(data.dataset.field2id_token["user_id"])}
    for part, less in (("train", ("valid", "test")), ("valid", ("test",)), ("all", ())):
        for of in ("train", "valid", "test"):
            for name, items in sessions[of].items():
                _, found = known[part].of_rows(torch.tensor([number[name]]))
                found = [data.dataset.id2token("item_id", i) for i in found.tolist()]
                assert found == (items[:-1] if of in less else items)


@pytest.mark.parametrize("kind", ["replace", "insert", "delete", "shuffle"])
def test_noise_in_tested_sessions(walks, kind):
    clean = load_data(walks())
    noisy = load_data(walks(noise={"ratio": 0.5, "kind": kind}))
    assert torch.equal(
        clean.test.dataset.inter_feat["item_id"], noisy.test.dataset.inter_feat["item_id"]
    )
    a, b = (_triples(data, _rows(data.test.dataset)) for data in (clean, noisy))
    assert a != b
    assert _triples(clean, _rows(clean.train._dataset)) == _triples(
        noisy, _rows(noisy.train._dataset)
    )


def test_the_split_file_is_part_of_the_data(walks, session_path, tmp_path):
    shutil.copytree(session_path / "walks", tmp_path / "walks")
    (tmp_path / "walks/walks.prepared.json").unlink()  # the files are changed on purpose
    made = walks(data_path=str(tmp_path))
    before = Inputs.of(made).data_fingerprint
    assert before == Inputs.of(walks()).data_fingerprint
    path = tmp_path / "walks/walks.split"
    path.write_text(path.read_text().replace("train", "valid", 1))
    assert Inputs.of(made).data_fingerprint != before


def test_properties_beside_the_files_make_a_run_follow_the_split(session_path):
    made = Config("SASRec", "walks", config_dict={"data_path": str(session_path)})
    assert made["session_split"] is True
    assert made["MAX_ITEM_LIST_LENGTH"] == 8
    again = Config("SASRec", "walks", config_dict={"data_path": str(session_path), "n_layers": 1})
    assert again.plain()["session_split"] is True


def test_a_split_file_without_its_properties_is_not_passed_over(walks, session_path, tmp_path):
    shutil.copytree(session_path / "walks", tmp_path / "walks")
    for name in ("walks.yaml", "walks.prepared.json"):
        (tmp_path / "walks" / name).unlink()
    with pytest.raises(UserError, match=r"walks\.split: shares out sessions, but no property"):
        load_data(walks(data_path=str(tmp_path)))
    data = load_data(walks(data_path=str(tmp_path), session_split=True))
    assert len(data.test.dataset.inter_feat) == len(load_data(walks()).test.dataset.inter_feat)
    every = load_data(walks(data_path=str(tmp_path), session_split=False))
    assert len(every.test.dataset.inter_feat) > 2 * len(data.test.dataset.inter_feat)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("\ttrain", "\ttrial", 1), r"walks.split:2: 'trial' is none of"),
        (lambda text: text + text.splitlines()[1] + "\n", r"walks.split:\d+: 'u\d+#\d' stands tw"),
        (
            lambda text: text.replace("part:token", "part"),
            r"walks.split:1: 'part' is not of the form",
        ),
        (lambda text: "", r"walks.split: empty file"),
        (lambda text: text[: text.rindex("\n", 0, -1) + 1], r"lacks 1 of \d+ sessions of the .int"),
        (lambda text: text.replace("\tvalid", "\ttrain"), "the validation split is empty; .*split"),
        (lambda text: None, r"walks.split: no such file, but session_split: True"),
    ],
)
def test_a_bad_split_file(walks, session_path, tmp_path, change, message):
    shutil.copytree(session_path / "walks", tmp_path / "walks")
    path = tmp_path / "walks/walks.split"
    text = change(path.read_text())
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_data(walks(data_path=str(tmp_path)))


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("BPR", {}, "session_split: BPR learns its users"),
        ("SASRec", {"session_split": "yes"}, "session_split: 'yes' is neither True nor False"),
        ("SASRec", {"train_targets": "first"}, "train_targets: 'first' is not one"),
        ("SASRec", {"train_targets": "last", "fast_sequences": False}, "train_targets: needs"),
    ],
)
def test_what_is_refused(walks, model, options, message):
    with pytest.raises(UserError, match=message):
        load_data(walks(model, **options))


def test_models_with_vectors_of_users_are_named(walks, caplog):
    build(walks("SASRec"))
    assert not caplog.records
    build(walks("FPMC"))
    (record,) = caplog.records
    assert "UI_emb.weight has a row for each session" in record.getMessage()
