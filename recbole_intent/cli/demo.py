"""The `demo` command: trains models with intents and baselines on data in RecBole's wheel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_intent.cli.options import Asked
from recbole_intent.compare.compare import compare
from recbole_intent.compare.entries import Entry
from recbole_intent.compare.request import Request
from recbole_intent.data.formats.intent_files import INTENT, intent_path
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.enrich.intents.pipeline import enrich
from recbole_intent.enrich.options import ProfileOptions, read_options
from recbole_intent.enrich.profiles.pipeline import enrich_profiles
from recbole_intent.evaluation.report import metric_table
from recbole_intent.runs.experiment import run
from recbole_intent.utils.printable import say

# IGR-SR. Settings of the demo only, chosen on validation to train within three minutes on two
# cores: short histories, one layer, and some targets per user and epoch.
_WHOLE = "ml-100k"
_EPOCHS = 6
_HISTORIES = {
    "MAX_ITEM_LIST_LENGTH": 20,
    "n_layers": 1,
    "hidden_dropout_prob": 0.2,
    "attn_dropout_prob": 0.2,
    "train_targets": 30,
    "train_batch_size": 256,
    "show_progress": True,
}
_ON_HISTORIES = (
    Entry("SASRec", "SASRec"),
    Entry("IGRSR", "IGRSR", {"distiller_dropout_prob": 0.2, "distiller_passes": 1}),
)

# VELI4SBR. Sessions are short: one pass trains all targets of a session without approximation.
# Losses as in results/session: with the paper's, a few epochs barely train the intents.
_DATASET = "ml-100k-sessions"
_SESSIONS = {
    "epochs": 6,
    "learning_rate": 2e-3,
    "n_layers": 1,
    "passes": 1,
    "train_batch_size": 512,
    "loss_type": "CE",
    "show_progress": True,
}
_INTENTS = {"intent_weight": 10, "enrich_scope": "failed"}
_ASKED = {
    "llm.source": "embedded",
    "domain": "films",
    "limit": 3,
    "attempts": 1,
    "sample": 0.01,
    "rest": "metadata",
    # Tasks that a model of 135M parameters can do: choose among genres, and read short prompts.
    "first_pool": "metadata",
    "new_intents": False,
    "refine_features": False,
    "session_shown": 6,
    "intents_per_session": 3,
}

# ISRF. Texts of films and users come from titles and genres only. To train within minutes: one
# layer, and some targets per user and epoch.
_TEXTS = {"semantics": "metadata", "users_sample": 5}
_TEXTS_PATH = "dataset/isrf-demo"  # the other demos read ml-100k from the wheel
# A separate folder: SASRec of the first demo has the same configuration, on other files.
_TASKS = {
    "epochs": 5,
    "show_progress": True,
    "data_path": _TEXTS_PATH,
    "checkpoint_dir": "saved/isrf-demo",
}
_ON_TASKS = (
    Entry("LightGCN", "LightGCN", {"train_batch_size": 2048}),
    Entry("SASRec", "SASRec", _HISTORIES),
    Entry(
        "ISRF",
        "ISRF",
        {
            "semantics": "metadata",
            "n_layers": 1,
            "gcn_layers": 2,
            "decay_epochs": 5,
            "train_targets": 6,
            "direct_targets": 3,
            "train_batch_size": 256,
        },
    ),
)


def command(asked: Asked) -> int:
    """Run a demo."""
    return demo(**asked.options)


def demo(model: str = "IGRSR", fresh: bool = False) -> int:
    """Train a model and its baselines, and print their metrics and result folders.

    An interrupted demo continues; a finished one is only reported.

    Args:
        model: `IGRSR`, `VELI4SBR` or `ISRF`.
        fresh: train again instead of reusing finished runs.

    Returns:
        0, the exit code.

    Raises:
        UserError: as `experiment.run`.
    """
    {"IGRSR": _igrsr, "VELI4SBR": _veli4sbr, "ISRF": _isrf}[model](fresh)
    return 0


def _igrsr(fresh: bool) -> None:
    say(
        "ml-100k: 943 users, 1,682 films, 100,000 ratings in time order; leave-one-out, all films\n"
        "ranked, history not masked. The epoch is chosen on validation, test is read once.\n"
        "Trains SASRec, then IGRSR, in about two minutes on two cores. With 943 users, small\n"
        "differences are chance: the last table says which are not.\n",
        lines=True,
        flush=True,
    )
    shared = {"epochs": _EPOCHS, **_HISTORIES}
    _train_and_tell(_WHOLE, _ON_HISTORIES, shared, fresh, reference="IGRSR")


def _veli4sbr(fresh: bool) -> None:
    say(
        "ml-100k cut into sessions of at most 20 films, split by time; the last film of a later\n"
        "session is to be found among all. An embedded language model of 135M parameters is asked\n"
        "for the intents of a few training sessions; all others get the genres of their films,\n"
        "WITHOUT a language model. Then trains the backbone, VELI4SBR with these intents, and a\n"
        "control whose sessions have the intents of others: three minutes on two cores.\n",
        lines=True,
        flush=True,
    )
    folder = Path("dataset") / _DATASET
    if not (folder / f"{_DATASET}.split").is_file():
        prepare(_DATASET)
    enriched = enrich(_DATASET, read_options(given=_ASKED), output=folder / "demo")
    say(enriched.report, flush=True, lines=True)
    intents = str(intent_path(enriched.folder, _DATASET, INTENT))
    entries = (
        Entry("VELI4SBR", "VELI4SBR", {"intents": intents, **_INTENTS}),
        Entry("backbone", "VELI4SBR", {"intents": "none"}),
        Entry("shuffled", "VELI4SBR", {"intents": intents, "shuffle_intents": True, **_INTENTS}),
    )
    _train_and_tell(_DATASET, entries, _SESSIONS, fresh, reference="VELI4SBR")


def _isrf(fresh: bool) -> None:
    say(
        "ml-100k, leave-one-out, two tasks: the next film among all, and the next film among 99\n"
        "others that the user has not seen. A sentence encoder reads titles and genres, WITHOUT a\n"
        "language model. LightGCN and SASRec, then ISRF: a small T5 from scratch that learns both\n"
        "tasks at once. The epoch is chosen by the first task: three minutes on two cores.\n",
        lines=True,
        flush=True,
    )
    source = Path(_TEXTS_PATH)
    if not (source / "ml-100k/ml-100k.inter").is_file():
        prepare("ml-100k", output=source / "ml-100k")
    texts = read_options(given=_TEXTS, kind=ProfileOptions)
    say(enrich_profiles("ml-100k", texts, data_path=source).report, flush=True, lines=True)
    _train_and_tell("ml-100k", _ON_TASKS, _TASKS, fresh, reference="ISRF", tasks=["direct"])


def _train_and_tell(
    dataset: str,
    entries: Sequence[Entry],
    shared: Mapping[str, Any],
    fresh: bool,
    reference: str,
    tasks: Sequence[str] = (),
) -> None:
    """Train the entries one after another and print metrics, folders, tests and the page."""
    runs = [
        run(
            entry.model, dataset, overrides={**shared, **entry.values}, fresh=fresh, allow_idle=True
        )
        for entry in entries
    ]
    say()
    labels = [entry.label for entry in entries]
    results = zip(labels, (done.result for done in runs), strict=True)
    say(metric_table([{**result, "model": label} for label, result in results]), lines=True)
    for label, done in zip(labels, runs, strict=True):
        again = " (finished before; demo --fresh trains again)" if done.reported else ""
        say(f"results of {label}: {done.folder}{again}")
    say("\ntests, inference times and pictures …", flush=True)
    compared = compare(
        Request(
            dataset,
            entries,
            [2020],
            reference=reference,
            overrides=shared,
            tasks=tasks,
            command=["demo", f"--model={reference}"],
        )
    )
    for name in (*(f"test-{task}" for task in tasks), "significance-reference"):
        say(compared.tables[name].text(), lines=True)
    say(f"all tables, with pictures: {compared.folder / 'page.html'}")
