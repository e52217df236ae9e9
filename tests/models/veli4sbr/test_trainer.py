"""VELI4SBR's loop: whose labels are enriched, when and from whom; kills; planted intents."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_intent.config.config import Config
from recbole_intent.data.formats.intent_files import PoolIntent, SessionIntents, write_intent_files
from recbole_intent.data.loading.sequences import START_FIELD
from recbole_intent.models.veli4sbr.label_refresh import refreshed_labels
from recbole_intent.models.veli4sbr.session_labels import ENRICHED, LLM, NONE
from recbole_intent.models.veli4sbr.trainer import last_samples
from recbole_intent.runs.experiment import build, inputs_fingerprint, run
from recbole_intent.utils.errors import UserError

SMALL = {"hidden_size": 16, "inner_size": 16, "n_layers": 1, "n_neighbors": 4}


@pytest.fixture
def trained(tiny):
    """A trainer of `tiny` with large weights, and its data."""

    def make(**options):
        trainer, data = build(tiny("VELI4SBR", **{**SMALL, "initializer_range": 0.3, **options}))
        return trainer, data.train

    return make


# --- whose labels ------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["SASRec", "BERT4Rec", "GRU4Rec"])
def test_labels_are_those_of_the_formula(trained, backbone):
    trainer, data = trained(backbone=backbone)
    trainer.enrich(data)
    model, dataset = trainer.model, data._dataset
    rows = dataset.rows(last_samples(dataset))
    with torch.no_grad():
        h = model.encode(rows["item_id_list"], rows["item_length"])
        y_hat = model.fusion.relevance(h).sigmoid()
    expected = refreshed_labels(h, y_hat, 4, torch.arange(60))
    found, has_labels = model.labels.of(rows["user_id"])
    assert has_labels.all()
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_a_session_is_read_up_to_its_last_training_target(trained):
    _, data = trained()
    dataset = data._dataset
    samples = last_samples(dataset)
    users, ends = dataset.inter_feat["user_id"], {}
    end = dataset.inter_feat[START_FIELD] + dataset.inter_feat["item_length"]
    for user, place in zip(users.tolist(), end.tolist(), strict=True):
        ends[user] = max(place, ends.get(user, 0))
    assert users[samples].tolist() == sorted(ends)
    assert end[samples].tolist() == [ends[user] for user in sorted(ends)]


def test_all_or_those_that_failed(trained):
    origins = {}
    for scope in ("all", "failed"):
        trainer, data = trained(enrich_scope=scope)
        labels = trainer.model.labels
        was_llm = labels.origin == LLM
        before = labels.values.clone()
        assert was_llm.sum() == 40
        trainer.enrich(data)
        origins[scope] = labels.origin.clone()
        assert (labels.origin[~was_llm] == ENRICHED).all()
        assert torch.equal(labels.values[was_llm], before[was_llm]) == (scope == "failed")
        assert (labels.values[~was_llm] > 0).any(1).all()
        trainer.enrich(data)  # once more: who is the LLM's stays so
        assert torch.equal(labels.origin, origins[scope])
    assert (origins["all"] == ENRICHED).all()
    assert (origins["failed"][was_llm] == LLM).all()


@pytest.mark.parametrize("scope", ["all", "failed"])
def test_without_neighbours_a_session_without_labels_gets_none(trained, scope):
    trainer, data = trained(enrich_scope=scope, n_neighbors="none")
    labels = trainer.model.labels
    was_llm = labels.origin == LLM
    before = labels.values.clone()
    trainer.enrich(data)
    assert (labels.origin[~was_llm] == NONE).all()
    assert (labels.origin[was_llm] == (ENRICHED if scope == "all" else LLM)).all()
    assert torch.equal(labels.values, before) == (scope == "failed")


@pytest.mark.parametrize(
    ("options", "enriched_before"),
    [
        ({}, [5, 10]),
        ({"enrich_every": 3}, [3, 6, 9, 12]),
        ({"enrich_every": 1}, list(range(1, 13))),
        ({"enrich": False}, []),
        ({"intents": "none"}, []),
    ],
    ids=str,
)
def test_every_so_many_epochs(trained, monkeypatch, options, enriched_before):
    trainer, data = trained(**options)
    called = []
    monkeypatch.setattr(trainer, "enrich", lambda _: called.append(epoch + 1))
    for epoch in range(12):
        trainer.before_epoch(epoch, data)
    assert called == enriched_before


def test_labels_change_what_is_learned_only_through_the_intent_loss(tiny, tmp_path):
    """Enriched or not, with a weight of 0 the weights end the same."""
    states = []
    for name, options in (("a", {"enrich": True}), ("b", {"enrich": False})):
        config = tiny("VELI4SBR", epochs=3, enrich_every=2, intent_weight=0.0, **SMALL, **options)
        trainer, data = build(config, tmp_path / name)
        trainer.fit(data.train, data.valid)
        states.append(trainer.model.state_dict())
    labels = {"labels.values", "labels.origin"}
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]) == (key not in labels), key


def test_its_inputs_are_the_files_that_it_reads(tiny, tmp_path):
    for suffix, text in ((".intent", ""), (".intent_pool", "")):
        (tmp_path / f"mine{suffix}").write_text(text)
    np.savez(tmp_path / "v.npz", item=["i1"], vector=[[1.0]])
    options = {"intents": str(tmp_path / "mine.intent"), "item_vectors": str(tmp_path / "v.npz")}
    config = tiny("VELI4SBR", llm_embedding=True, **options)
    plain, seen = inputs_fingerprint(tiny("SASRec")), set()
    assert inputs_fingerprint(tiny("VELI4SBR", intents="none")) == plain
    for name in ("none", "mine.intent", "mine.intent_pool", "v.npz"):
        if name != "none":
            (tmp_path / name).write_bytes(b"other")
        seen.add(inputs_fingerprint(config))
    assert len(seen | {plain}) == 5


def test_recboles_own_rows_are_refused(tiny):
    with pytest.raises(UserError, match="fast_sequences: must be True"):
        build(tiny("VELI4SBR", fast_sequences=False))


def test_without_the_file_the_command_is_named_and_nothing_is_left(config, tmp_path):
    """ml-100k of RecBole's wheel has no intents."""
    options = {"data_path": "not-there", "device": "cpu", "checkpoint_dir": str(tmp_path / "saved")}
    with pytest.raises(
        UserError, match=r"ml-100k\.intent: .*`recbole_intent enrich --for=VELI4SBR"
    ):
        run("VELI4SBR", "ml-100k", overrides=options)
    assert not (tmp_path / "saved").exists()


# --- kills -------------------------------------------------------------------------------------


def test_a_killed_run_ends_as_an_undisturbed_one(tiny_path, killed_run, ends_as_undisturbed):
    """Killed after labels were enriched: they are in the checkpoint, and all goes on from them."""
    options = {
        **SMALL,
        "data_path": str(tiny_path),
        "device": "cpu",
        "threads": 1,
        "tensorboard": False,
        "show_progress": False,
        "epochs": 25,
        "stopping_step": 30,
        "enrich_every": 2,
        "intent_weight": 0.3,
        "learning_rate": 0.01,
        "MAX_ITEM_LIST_LENGTH": 8,
        "train_batch_size": 64,
    }
    killed = killed_run("VELI4SBR", options, "sessions enriched", 2)
    kept = torch.load(killed / "last.pt")["state_dict"]
    assert (kept["labels.origin"] == ENRICHED).all()
    ends_as_undisturbed("VELI4SBR", options, killed)


# --- planted intents -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(tmp_path_factory, split_of) -> Path:
    """`data_path` of sessions that are three items of an intent's many, then one of its few.

    The first three of four items belong to the intent in 9 cases of 10, the last one in 5 of 10:
    what comes next tells little of the many items, which are rare, and the intent tells much.
    The labels know the intent of 4 sessions in 5. `blank.intent` knows none.
    """
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("data") / "planted"
    folder.mkdir()
    inter = ["user_id:token\titem_id:token\ttimestamp:float"]
    split = ["user_id:token\tpart:token"]
    told = []
    for part, count in (("train", 600), ("valid", 300), ("test", 1000)):
        for number in range(count):
            session, intent = f"{part}{number}", rng.integers(12)
            for time_ in range(4):
                is_last = time_ == 3
                is_true = rng.random() < (0.5 if is_last else 0.9)
                group = intent if is_true else rng.integers(12)
                item = (
                    f"next{group}-{rng.integers(4)}" if is_last else f"{group}-{rng.integers(60)}"
                )
                inter.append(f"{session}\t{item}\t{len(inter)}")
            split.append(f"{session}\t{part}")
            if part == "train":
                passed = bool(rng.random() < 0.8)
                names = (f"wants {intent}",) if passed else ()
                told.append(SessionIntents(session, names, (), 1 if passed else 3, passed))
    (folder / "planted.inter").write_text("\n".join(inter) + "\n")
    (folder / "planted.split").write_text("\n".join(split) + "\n")
    pool = [PoolIntent(f"wants {intent}", 40) for intent in range(12)]
    blank = [SessionIntents(entry.session, (), (), 3, False) for entry in told]
    about = split_of("VELI4SBR", "planted", data_path=folder.parent, session_split=True).plain()
    for name, intents in (("planted", told), ("blank", blank)):
        write_intent_files(
            folder, name, intents=intents, pool=pool, features=[], manifest=lambda: {"split": about}
        )
    return folder.parent


def test_planted_intents_help_and_blank_ones_do_not(planted, tmp_path):
    options = {
        "data_path": str(planted),
        "session_split": True,
        "train_targets": "last",
        "device": "cpu",
        "threads": 1,
        "epochs": 30,
        "eval_step": 3,
        "hidden_size": 32,
        "inner_size": 64,
        "n_layers": 1,
        "n_heads": 1,
        "hidden_dropout_prob": 0.3,
        "attn_dropout_prob": 0.3,
        "MAX_ITEM_LIST_LENGTH": 5,
        "train_batch_size": 64,
        "learning_rate": 0.003,
        "weight_decay": 1e-3,
        "initializer_range": 0.1,
        "show_progress": False,
        "tensorboard": False,
    }
    of_intents = {"intent_weight": 10.0, "enrich_scope": "failed", "enrich_every": 10}
    test = {}
    blank = str(planted / "planted/blank.intent")
    for name, intents in (("planted", "auto"), ("blank", blank), ("backbone", "none")):
        overrides = {**options, "intents": intents, **(of_intents if intents != "none" else {})}
        done = run("VELI4SBR", "planted", overrides=overrides, output=tmp_path / name)
        test[name] = done.result["test"]["ndcg@10"]
    assert test["planted"] > 1.2 * max(test["blank"], test["backbone"]), test
    assert test["blank"] < 1.15 * test["backbone"], test

    trainer, data = build(Config.of_run(tmp_path / "planted"))
    trainer.load_weights(tmp_path / "planted/best.pt")
    # Words: a test session's planted intent is the one told, far above chance (1 in 12).
    model, rows = trainer.model.eval(), data.test.dataset.rows(range(1000))
    told = [intents[0].text for intents in model.explain(rows, 0)]
    names = data.dataset.field2id_token["item_id"][rows["item_id_list"][:, :3]]
    groups = [[name.split("-")[0] for name in session] for session in names]
    common = [f"wants {max(set(session), key=session.count)}" for session in groups]
    assert np.mean([a == b for a, b in zip(told, common, strict=True)]) > 0.4
