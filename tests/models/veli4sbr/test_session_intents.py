"""From the files of `enrich` to labels: whose they are, and files that do not fit."""

import shutil

import pytest
import torch

from recbole_intent.data.formats.intent_files import PoolIntent, SessionIntents, write_intent_files
from recbole_intent.data.loading.split import load_data, read_parts
from recbole_intent.data.loading.training_interactions import training_split
from recbole_intent.models.veli4sbr.session_intents import intent_files, read_labels
from recbole_intent.models.veli4sbr.session_labels import LLM, NONE
from recbole_intent.utils.errors import UserError


@pytest.fixture
def given(tiny, tmp_path):
    """Write intents of some sessions of `tiny` elsewhere; the configuration that reads them."""

    def make(*sessions: SessionIntents, pool=("a", "b"), **options):
        entries = [PoolIntent(name, 1) for name in pool]
        config = tiny("VELI4SBR", intents=str(tmp_path / "mine.intent"), **options)
        about = training_split(config, read_parts(config).train).plain()
        write_intent_files(
            tmp_path,
            "mine",
            intents=sessions,
            pool=entries,
            features=[],
            manifest=lambda: {"split": about},
        )
        return config

    return make


def _passed(session: str, *intents: str, hard: tuple[str, ...] = ()) -> SessionIntents:
    return SessionIntents(session, intents, hard, 1, True)


def test_labels_and_hard_negatives_are_the_sessions_own(given):
    config = given(_passed("u7", "b"), _passed("u3", "a", "b", hard=("i9",)), _passed("nobody"))
    train = load_data(config).train._dataset
    pool, labels = read_labels(config, train)
    assert pool == ["a", "b"]
    number = {name: n for n, name in enumerate(train.field2id_token["user_id"])}
    user = torch.tensor([number["u3"], number["u7"], number["u8"]])
    values, has_labels = labels.of(user)
    assert values.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert has_labels.tolist() == [True, True, False]
    items = train.field2id_token["item_id"]
    drawn = [items[i] for i in labels.hard_negative(user).tolist()]
    assert drawn == ["i9", "[PAD]", "[PAD]"]
    assert len(labels.origin) == 60
    assert (labels.origin == LLM).sum() == 2
    assert (labels.origin == NONE).sum() == 58


def test_hard_negatives_can_be_left_out(given):
    config = given(_passed("u3", "a", hard=("i9",)), hard_negatives=False)
    _, labels = read_labels(config, load_data(config).train._dataset)
    assert (labels.hard_count == 0).all()


def test_controls_are_properties(given):
    """Of the intents alone: whose hard negatives are whose does not change."""
    sessions = [_passed(f"u{u}", *("ab" if u % 2 else "a"), hard=(f"i{u}",)) for u in range(20)]
    labels = {}
    for name, options in {
        "plain": {},
        "half": {"intent_share": 0.5},
        "shuffled": {"shuffle_intents": True},
        "other seed": {"shuffle_intents": True, "seed": 1},
    }.items():
        config = given(*sessions, **options)
        _, labels[name] = read_labels(config, load_data(config).train._dataset)
    plain = labels["plain"]
    assert [int((found.origin == LLM).sum()) for found in labels.values()] == [20, 10, 20, 20]
    for found in labels.values():
        assert torch.equal(found.hard_items, plain.hard_items)
    for name in ("shuffled", "other seed"):
        assert torch.equal(labels[name].values.sum(0), plain.values.sum(0))
        assert not torch.equal(labels[name].values, plain.values)
    assert not torch.equal(labels["shuffled"].values, labels["other seed"].values)


def test_the_log_tells_intents_of_metadata_from_those_of_a_model(given, caplog):
    untold = SessionIntents("u4", ("b",), (), 0, True)
    config = given(_passed("u3", "a"), untold, SessionIntents("u5", (), (), 0, True))
    with caplog.at_level("INFO", "recbole_intent"):
        read_labels(config, load_data(config).train._dataset)
    assert "2 of 60 training sessions have some (1 of them by metadata)" in caplog.text


def test_sessions_of_validation_and_test_have_no_labels(given, tiny_path, tmp_path):
    """Even if a file has lines of them."""
    shutil.copytree(tiny_path / "tiny", tmp_path / "data/tiny")
    lines = ["user_id:token\tpart:token"]
    lines += [f"u{u}\t{('train', 'train', 'valid', 'test')[u % 4]}" for u in range(60)]
    (tmp_path / "data/tiny/tiny.split").write_text("\n".join(lines) + "\n")
    everyone = [_passed(f"u{u}", "a") for u in range(60)]
    config = given(*everyone, session_split=True, data_path=str(tmp_path / "data"))
    data = load_data(config)
    _, labels = read_labels(config, data.train._dataset)
    assert len(labels.origin) == 30
    held_out = torch.cat([s.dataset.inter_feat["user_id"] for s in (data.valid, data.test)])
    assert len(held_out) == 30
    assert (labels.row_of[held_out] == -1).all()


@pytest.mark.parametrize(
    ("sessions", "pool", "message"),
    [
        ([_passed("u3", "c")], ("a",), r"mine\.intent:1: 'c' is neither in mine\.intent_pool"),
        ([_passed("u3", "a", hard=("x",))], ("a",), r"mine\.intent:1: 'x' is neither in"),
        ([_passed("somebody", "a")], ("a",), r"mine\.intent: names no training session of tiny"),
        ([], (), r"mine\.intent_pool: has no intents"),
    ],
)
def test_files_that_do_not_fit_are_named(given, sessions, pool, message):
    config = given(*sessions, pool=pool)
    with pytest.raises(UserError, match=message):
        read_labels(config, load_data(config).train._dataset)


def test_an_absent_file_names_the_command(tiny, tmp_path):
    assert intent_files(tiny("VELI4SBR", intents="none")) is None
    (tmp_path / "half.intent").touch()
    for name in ("none.intent", "half.intent"):
        config = tiny("VELI4SBR", intents=str(tmp_path / name))
        with pytest.raises(
            UserError, match=r"recbole_intent enrich --for=VELI4SBR --dataset=tiny.*--intents=none"
        ):
            intent_files(config)
