"""The test set reaches nothing that is trained, chosen or written before the test.

The same data twice, the second time with other known items as test targets (or as the items of
tested sessions): weights are equal to the bit, and so are validation's metrics and the enriched
texts. `test_tune.py` has the same of the choice of `tune`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.utils import ModelType

from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.data.formats.intent_files import FEATURE, INTENT, POOL, VECTORS, read_pool
from recbole_intent.data.formats.profile_files import PROFILES
from recbole_intent.data.formats.text_vectors import vector_path
from recbole_intent.data.loading.split import load_data, read_parts
from recbole_intent.enrich.intents.pipeline import enrich
from recbole_intent.enrich.options import IntentOptions, ProfileOptions, read_options
from recbole_intent.enrich.profiles.pipeline import enrich_profiles
from recbole_intent.enrich.training_data import read_training_data
from recbole_intent.enrich.vectors.encoding import encode_texts
from recbole_intent.enrich.vectors.profiles import encode_profiles
from recbole_intent.runs.experiment import build

N = 30  # users, and items
HEADER = "user_id:token\titem_id:token\ttimestamp:float"
ONE_TARGET = ("leave-one-out", "sessions", "pre-split")  # what the direct task asks for
SPLITS = {
    "leave-one-out": {},
    "ratio": {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}},
    "ratio over all": {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "group_by": None}},
    "random": {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO"}},
    "sessions": {"session_split": True},
    "pre-split": {"benchmark_filename": ["train", "valid", "test"]},
}
OURS = ("IGRSR", "VELI4SBR", "ISRF", "SASRec", "GRU4Rec", "BERT4Rec", "LightGCN", "NCL")
OTHERS = ("BPR", "Pop", "ItemKNN", "SimpleX", "FPMC", "STAMP")
SMALL = {
    "embedding_size": 8,
    "hidden_size": 8,
    "inner_size": 16,
    "n_layers": 1,
    "n_heads": 2,
    "distiller_size": 8,
    "num_clusters": 3,
    "m_step": 1,
    "warm_up_step": 0,
    "n_negatives": 9,
    "semantic_size": 4,
    "n_similar_users": 3,
    "align_every": 1,
    "semantics": "metadata",
    "n_candidates": 10,
}
# What is not for every model, or would take long.
OF_MODEL = {
    "ISRF": {"hidden_size": 16, "inner_size": 32, "n_negatives": 9},
    "ELMRec": {"hidden_size": 16, "inner_size": 32, "n_negatives": 9},
    "RSL": {"hidden_size": 16, "inner_size": 32, "n_negatives": 9},
    "SLIMElastic": {"alpha": 0.2, "l1_ratio": 0.02},
    "ConvNCF": {"embedding_size": 64},  # its convolutions are made for this width
}


class Letters:
    """A text encoder that counts letters."""

    name = "letters"

    def encode(self, texts: list[str]) -> np.ndarray:
        found = np.array([[t.count(c) + 1.0 for c in "aceinrst0123456789"] for t in texts])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def rows_of() -> list[tuple[int, int, int]]:
    """(user, place, item): histories of 6 to 11 items; each item is somebody's first one."""
    rng = np.random.default_rng(4)
    rows = []
    for user in range(N):
        item = user
        for place in range(rng.integers(6, 12)):
            rows.append((user, place, item))
            item = (item + int(rng.integers(1, 4))) % N
    return rows


def part_of_session(user: int) -> str:
    return ("train", "train", "train", "valid", "test")[user % 5]


def write(folder: Path, split: str, rows: list[tuple[int, int, int]]) -> None:
    """Write the rows, training first: RecBole numbers items as they come."""
    folder.mkdir(parents=True)
    last = {user: place for user, place, _ in rows}

    def part(row) -> str:
        if split == "sessions":
            return part_of_session(row[0])
        return ("test", "valid", "train")[min(last[row[0]] - row[1], 2)]

    order = ["train", "valid", "test"]
    rows = sorted(rows, key=lambda row: (order.index(part(row)), row[1], row[0]))
    lines = {name: [] for name in order}
    for row in rows:
        user, place, item = row
        lines[part(row)].append(f"u{user}\ti{item}\t{1000 * place + user}")
    if split == "pre-split":
        # Sequential models number items user by user: the first two have them all, in training.
        halves = [("first", range(N // 2)), ("second", range(N // 2, N))]
        lines["train"][:0] = [f"{user}\ti{i}\t{i}" for user, half in halves for i in half]
        for name, found in lines.items():
            (folder / f"leaky.{name}.inter").write_text("\n".join([HEADER, *found]) + "\n")
    else:
        everything = [HEADER, *(line for name in order for line in lines[name])]
        (folder / "leaky.inter").write_text("\n".join(everything) + "\n")
    if split == "sessions":
        parts = [f"u{user}\t{part_of_session(user)}" for user in range(N)]
        (folder / "leaky.split").write_text("\n".join(["user_id:token\tpart:token", *parts]) + "\n")
    items = [f"i{item}\tThing {item}\tkind{item % 4} sort{item % 7}" for item in range(N)]
    header = "item_id:token\ttitle:token\tclass:token_seq"
    (folder / "leaky.item").write_text("\n".join([header, *items]) + "\n")


@pytest.fixture(scope="module")
def make(config, tmp_path_factory) -> Callable[..., "Config"]:  # noqa: F821
    """The configuration of a small run on the data as they are, or with other test items."""
    folders: dict[tuple, Path] = {}
    saved = tmp_path_factory.mktemp("saved")

    def configured(model: str, split: str, root: Path, **options):
        spec = get_spec(model).model_class()
        given = {**SMALL, **OF_MODEL.get(model, {}), **SPLITS[split], **options}
        if spec.type != ModelType.SEQUENTIAL:
            given.pop("train_targets", None)
        from recbole_intent.config.config import Config

        known = Config(model, "leaky", config_dict={"data_path": str(root)}, allow_unknown=True)
        common = ("eval_args", "session_split", "benchmark_filename", *options)
        given = {k: v for k, v in given.items() if k in common or k in known}
        return config(
            model,
            "leaky",
            data_path=str(root),
            checkpoint_dir=str(saved),
            epochs=1,
            train_batch_size=64,
            MAX_ITEM_LIST_LENGTH=8,
            valid_metric="NDCG@10",
            **given,
        )

    def folder(split: str, is_sequential: bool, is_poisoned: bool) -> Path:
        key = split, is_sequential, is_poisoned
        if key not in folders:
            root = tmp_path_factory.mktemp("leaky")
            rows = rows_of()
            if is_poisoned:
                clean = folder(split, is_sequential, False)
                rows = poison(configured("SASRec" if is_sequential else "BPR", split, clean), rows)
            write(root / "leaky", split, rows)
            folders[key] = root
        return folders[key]

    def poison(clean, rows):
        split = read_parts(clean).test
        names, feat = split.field2id_token["user_id"], split.inter_feat
        tested = {
            (str(names[user]), int(time))
            for user, time in zip(feat["user_id"].tolist(), feat["timestamp"].tolist(), strict=True)
        }
        assert tested
        sessions = {user for user, _ in tested} if clean["session_split"] else set()
        moved = [
            (user, place, (item + 11) % N)
            if (place and (f"u{user}", 1000 * place + user) in tested) or f"u{user}" in sessions
            else (user, place, item)
            for user, place, item in rows
        ]
        # First places stay, for they number the items (of sessions, those of training do).
        return moved

    def made(model: str, split: str, is_poisoned: bool, **options):
        is_sequential = get_spec(model).model_class().type == ModelType.SEQUENTIAL
        root = folder(split, is_sequential, is_poisoned)
        return configured(model, split, root, **options)

    return made


def outcome(make, model: str, split: str, is_poisoned: bool, **options):
    """Weights, validation's metrics of the tasks, and the test items."""
    config = make(model, split, is_poisoned, **options)
    enrich_for(model, split, config)
    trainer, data = build(config)
    trainer.fit(data.train, data.valid, show_progress=False)
    valid = {"next-item": trainer.evaluate(data.valid)}
    if split in ONE_TARGET and "mask_history" not in options:
        direct = load_data(make(model, split, is_poisoned, task="direct", **options))
        valid["direct"] = trainer.evaluate(direct.valid)
    target = data.test.dataset.inter_feat["item_id"]
    return trainer.model.state_dict(), valid, target


def enrich_for(model: str, split: str, config) -> dict[str, str]:
    """Write what a model reads of texts; returns the texts."""
    root = Path(config["data_path"]).parent
    data = read_training_data(model, "leaky", root, SPLITS[split]) if model in WITH_TEXTS else None
    if model in WITH_INTENTS:
        options = read_options(given={"intents": "metadata"}, kind=IntentOptions)
        enrich("leaky", options, root, split=SPLITS[split])
        names = (INTENT, POOL, FEATURE)
        pool = [entry.intent for entry in read_pool(data.folder / f"leaky{POOL}")]
        for path, texts in (
            (data.folder / f"leaky{VECTORS}", {intent: intent for intent in pool}),
            (
                vector_path(data.folder, "leaky", "item", "metadata", "fused"),
                {f"i{item}": f"Thing {item}" for item in range(N)},
            ),
        ):
            encode_texts(texts, Letters(), path, semantics="metadata", chunk=99, split=data.split)
    elif model in WITH_TEXTS:
        given = {"semantics": "metadata", "steps": "texts"}
        options = read_options(given=given, kind=ProfileOptions)
        reader = "ISRF" if model == "ISRF" else "LLMESR"
        enrich_profiles("leaky", options, root, split=SPLITS[split], reader=reader)
        encode_profiles(data.folder, "leaky", options, Letters(), data.split)
        names = tuple(PROFILES.values())
    else:
        return {}
    return {name: (data.folder / f"leaky{name}").read_text() for name in names}


WITH_INTENTS = ("VELI4SBR", "LLM4SBR")
WITH_TEXTS = (*WITH_INTENTS, "ISRF", "LLMESR", "RLMRec", "RLMRecSeq")


def assert_blind(make, model: str, split: str, **options) -> None:
    weights, valid, test = outcome(make, model, split, False, **options)
    others, other_valid, other_test = outcome(make, model, split, True, **options)
    assert not torch.equal(test, other_test)
    assert weights.keys() == others.keys()
    for name, values in weights.items():
        if isinstance(values, torch.Tensor):
            assert torch.equal(values, others[name]), name
    assert valid == other_valid


def accepts(model: str, split: str) -> bool:
    is_sequential = get_spec(model).model_class().type == ModelType.SEQUENTIAL
    return {
        "random": not is_sequential,
        "sessions": is_sequential and model != "ISRF",  # which learns its users
    }.get(split, True)


CASES = [(m, s) for m in (*OURS, *OTHERS) for s in SPLITS if accepts(m, s)]
CASES += [(m, "leave-one-out") for m in ("ELMRec", "RSL")]
CASES += [(m, "sessions") for m in ("CaFe", "FAPAT", "LLM4SBR", "LLMESR", "RLMRecSeq")]


@pytest.mark.parametrize(("model", "split"), CASES, ids=map("-".join, CASES))
def test_other_test_items_change_neither_weights_nor_validation(make, model, split):
    assert_blind(make, model, split)


@pytest.mark.parametrize("model", sorted({*model_names()} - {*OURS, *OTHERS}))
def test_nor_of_any_other_model(make, model):
    assert_blind(make, model, "leave-one-out")


POPULAR = {"train_neg_sample_args": {"distribution": "popularity", "sample_num": 1, "alpha": 1.0}}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("BPR", POPULAR),
        ("SASRec", {"loss_type": "BPR", **POPULAR}),
        ("SASRec", {"mask_history": True}),
        ("LightGCN", {"mask_history": True}),
        ("SASRec", {"fast_sequences": False}),
        ("SASRec", {"noise": {"ratio": 0.3, "where": "both"}}),
        ("ISRF", {"stop_on": "loss"}),
    ],
    ids=str,
)
def test_nor_with_options_that_look_at_popularity_or_histories(make, model, options):
    assert_blind(make, model, "leave-one-out", **options)


@pytest.mark.parametrize(("model", "split"), [c for c in CASES if c[0] in WITH_TEXTS])
def test_enriched_texts_are_equal(make, model, split):
    texts = [
        enrich_for(model, split, make(model, split, is_poisoned)) for is_poisoned in (False, True)
    ]
    assert texts[0] == texts[1]
    assert texts[0]


def test_a_leak_would_show(make):
    with pytest.raises(AssertionError):
        assert_blind(make, "ISRF", "leave-one-out", graph_edges="any")
