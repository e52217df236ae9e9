"""Fixtures that many tests share."""

import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

# One thread, before torch is imported: the tests are too small to share among cores, and idle
# threads that spin make them many times slower on a busy machine. Subprocesses inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# No test downloads a model: without a network the hub's retries would take a minute each.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest

pytest_plugins = [
    "tests.fixtures.comparisons",
    "tests.fixtures.killed_runs",
    "tests.fixtures.language_models",
    "tests.fixtures.papers",
]

# A shell's background job ignores Ctrl-C, and its children inherit that: some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Files whose tests train for long or start many processes; `make test-fast` leaves them out.
SLOW = (
    "cli/test_demo.py",
    "compare/",
    "data/formats/test_session_files.py",
    "data/loading/test_loader.py",
    "data/loading/test_pre_split.py",
    "data/loading/test_sequences.py",
    "data/prepare/test_prepare.py",
    "enrich/intents/test_pipeline",
    "enrich/profiles/test_pipeline.py",
    "enrich/test_training_data.py",
    "enrich/vectors/",
    "llm/",
    "modeling/test_deviations.py",
    "models/cafe/",
    "models/fapat/",
    "models/generative/",
    "models/icsrec/",
    "models/isrf/",
    "models/lares/",
    "models/llmesr/",
    "models/p5/",
    "models/test_",
    "models/veli4sbr/test_trainer.py",
    "plotting/test_plots.py",
    "recommend/",
    "runs/test_callbacks.py",
    "runs/test_experiment.py",
    "runs/test_jobs.py",
    "serve/test_serve.py",
    "test_api.py",
    "test_docs.py",
    "test_fuzz.py",
    "test_half_hour.py",
    "test_leaks.py",
    "test_notebooks.py",
    "test_packaging.py",
    "test_readme.py",
    "trainer/",
    "tune/",
    "utils/test_memory.py",
    "utils/test_own_files.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of `SLOW`."""
    root = Path(__file__).resolve().parent
    for item in items:
        if item.path.relative_to(root).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """Folder of real research data beside the checkout, or RECBOLE_INTENT_SHARED/datasets.

    They must not be redistributed, so a machine without them skips.
    """
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("RECBOLE_INTENT_SHARED", beside)) / "datasets"
    if not (folder / "amazon-toys").is_dir():
        pytest.skip("no shared/datasets beside the checkout (set RECBOLE_INTENT_SHARED)")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file under `tmp_path/raw`: text as it is, records as JSON lines, .gz packed."""

    def write_file(name: str, content: str | bytes | list[dict]) -> Path:
        if isinstance(content, list):
            content = "".join(json.dumps(record) + "\n" for record in content)
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / "raw" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


SMALL = {
    "device": "cpu",
    "data_path": "not-there",  # ml-100k of RecBole's wheel, whatever was prepared in ./dataset
    "MAX_ITEM_LIST_LENGTH": 20,
    "train_batch_size": 512,
    "eval_batch_size": 256,
    "show_progress": False,
    "tensorboard": False,
}


@pytest.fixture(scope="session")
def config() -> Callable[..., "Config"]:  # noqa: F821
    """Make the configuration of a small run: `config("SASRec", passes=4)`; ml-100k by default."""
    from recbole_intent.config.config import Config

    def make(model: str = "SASRec", dataset: str = "ml-100k", **options) -> Config:
        return Config(model, dataset, config_dict={**SMALL, **options})

    return make


@pytest.fixture(scope="session")
def ml100k(config) -> "list[IndexedSequentialDataset]":  # noqa: F821
    """Training, validation and test split of our ml-100k, loaded once; do not change them."""
    from recbole_intent.data.loading.sequences import IndexedSequentialDataset

    return IndexedSequentialDataset(config()).build()


@pytest.fixture(scope="session")
def recbole_ml100k(config) -> "list[SequentialDataset]":  # noqa: F821
    """The same of RecBole's own padded rows, fed by our reader: its own sorts rounded times."""
    from recbole_intent.data.loading.checked_dataset import CheckedSequentialDataset

    return CheckedSequentialDataset(config()).build()


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory, split_of) -> Path:
    """`data_path` of the dataset `tiny`: 60 users, 4 to 15 of 40 items each, classes, intents.

    Users walk along a ring of items with small steps, so there is something to learn.
    """
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("dataset") / "tiny"
    folder.mkdir()
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(60):
        item = rng.integers(40)
        for time in range(rng.integers(4, 16)):
            lines.append(f"u{user}\ti{item}\t{time}")
            item = (item + rng.integers(1, 4)) % 40
    (folder / "tiny.inter").write_text("\n".join(lines) + "\n")
    items = [f"i{item}\tc{item % 3} c{item % 5}" for item in range(40)]
    (folder / "tiny.item").write_text("\n".join(["item_id:token\tclass:token_seq", *items]) + "\n")
    split = split_of("ISRF", "tiny", data_path=folder.parent)
    _write_tiny_intents(folder, split)
    _write_tiny_vectors(folder, split)
    return folder.parent


@pytest.fixture(scope="session")
def split_of(config) -> Callable[..., "Split"]:  # noqa: F821
    """The split of a run, to stand in files that a test writes for it."""
    from recbole_intent.data.loading.split import read_parts
    from recbole_intent.data.loading.training_interactions import training_split

    def find(model: str, dataset: str, data_path: Path, **options):
        made = config(model, dataset, data_path=str(data_path), **options)
        return training_split(made, read_parts(made).train)

    return find


def _write_tiny_vectors(folder: Path, split: "Split") -> None:  # noqa: F821
    """Texts' vectors that lie along the ring, an item's by its place, a user's by its number."""
    from recbole_intent.data.formats.text_vectors import (
        TextVectors,
        vector_path,
        write_text_vectors,
    )

    for kind, n in (("item", 40), ("user", 60)):
        angle = 2 * np.pi * np.arange(n) / n
        waves = [wave(angle * k) for k in range(1, 9) for wave in (np.sin, np.cos)]
        vectors = (np.stack(waves, axis=1) / np.sqrt(8)).astype(np.float32)
        ids = np.array([f"{kind[0]}{number}" for number in range(n)])
        for semantics in ("llm", "metadata"):
            path = vector_path(folder, "tiny", kind, semantics, "fused")
            about = json.dumps(split.plain())
            write_text_vectors(path, TextVectors(ids, vectors, semantics, "waves", "0" * 64, about))


def _write_tiny_intents(folder: Path, split: "Split") -> None:  # noqa: F821
    """40 users with one or two intents of three, 10 who failed, and 10 who were never asked."""
    from recbole_intent.data.formats import intent_files
    from recbole_intent.data.formats.text_vectors import TextVectors, write_text_vectors

    names = ("slow steps", "middling steps", "a change")
    users = [
        intent_files.SessionIntents(
            session=f"u{user}",
            intents=tuple({names[user % 2], names[user % 3]}) if user < 40 else (),
            hard_negatives=(f"i{user % 7}", f"i{user % 5 + 10}")[: user % 3],
            attempts=1 if user < 40 else 3,
            passed=user < 40,
        )
        for user in range(50)
    ]
    pool = [intent_files.PoolIntent(name, sum(name in u.intents for u in users)) for name in names]
    intent_files.write_intent_files(
        folder,
        "tiny",
        intents=users,
        pool=pool,
        features=[],
        manifest=lambda: {"source": "metadata", "split": split.plain()},
    )
    vectors = np.eye(3, 16, dtype=np.float32)  # as wide as those of items
    about = TextVectors(np.array(names), vectors, "metadata", "waves", "0" * 64)
    write_text_vectors(folder / f"tiny{intent_files.VECTORS}", about)


@pytest.fixture(scope="session")
def tiny(config, tiny_path: Path) -> Callable[..., "Config"]:  # noqa: F821
    """Make the configuration of a run on `tiny`: `tiny("BPR", epochs=2)`."""

    def make(model: str = "SASRec", **options):
        given = {"data_path": str(tiny_path), "MAX_ITEM_LIST_LENGTH": 8, "train_batch_size": 64}
        if model == "IGRSR":  # its distiller is to be no wider than the small models of tests
            given["distiller_size"] = 8
        if model == "ISRF":
            given |= {"hidden_size": 16, "inner_size": 32, "semantic_size": 8, "n_negatives": 9}
            given |= {"n_layers": 1, "n_heads": 2, "n_similar_users": 5, "align_every": 1}
        if model in ("P5", "POD", "ELMRec", "RSL"):
            given |= {"hidden_size": 16, "inner_size": 32, "n_layers": 1, "n_heads": 2}
            given["n_negatives"] = 9
        return config(model, "tiny", **{**given, "valid_metric": "NDCG@10", **options})

    return make


@pytest.fixture(scope="session")
def session_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data_path` of the session dataset `walks`: 120 users' walks along a ring of 30 items.

    Prepared by `prepare` from histories of 5 to 24 items, in sessions of 3 to 8. Item `late` is
    seen in the last tenth alone, and a user without times is left out.
    """
    from recbole_intent.data.prepare.prepare import prepare
    from recbole_intent.data.prepare.sessions import SessionOptions

    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("sessions")
    lines = ["user_id\titem_id\ttimestamp", *(f"timeless\ti{i}\t{i}" for i in range(5))]
    for user in range(120):
        item, time = rng.integers(30), 1_300_000_000 + int(rng.integers(10**7))
        for _ in range(rng.integers(5, 25)):
            lines.append(f"u{user}\ti{item}\t{time}")
            item, time = (item + rng.integers(1, 4)) % 30, time + int(rng.integers(1, 10_000))
    newest = max(int(line.rpartition("\t")[2]) for line in lines[1:])
    lines += [f"z\t{item}\t{newest + i}" for i, item in enumerate(["i1", "late", "i2", "i4"])]
    (folder / "raw.tsv").write_text("\n".join(lines) + "\n")
    items = [f"i{item}\tItem {item}" for item in range(30)]
    (folder / "items.tsv").write_text("\n".join(["item_id\ttitle", *items, "late\tLate"]) + "\n")
    prepare("walks", folder, folder / "walks", sessions=SessionOptions(8, 3))
    return folder


@pytest.fixture(scope="session")
def walks(config, session_path: Path) -> Callable[..., "Config"]:  # noqa: F821
    """Make the configuration of a run on the sessions of `walks`: `walks("GRU4Rec", epochs=2)`."""

    def make(model: str = "SASRec", **options):
        given = {"data_path": str(session_path), "MAX_ITEM_LIST_LENGTH": 8, "train_batch_size": 64}
        return config(model, "walks", **{**given, "valid_metric": "NDCG@10", **options})

    return make
