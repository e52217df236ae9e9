"""Values of the ISRF paper, for `deviations`."""

from collections.abc import Callable
from typing import Any

from recbole_intent.modeling.deviations import Said, exactly
from recbole_intent.models.generative.tasks import DIRECT, SEQUENTIAL
from recbole_intent.models.isrf.options import (
    aligned_tasks,
    chooses_among_candidates,
    hidden_edges,
    learns_users,
    names_users,
    numbers_users,
    uses_decoder_words,
)


def _learns(task: str) -> Callable[[Any], bool]:
    return lambda config: task in config["tasks"]


def _aligns(config: Any) -> bool:
    return bool(aligned_tasks(config))


def _one_token(config: Any) -> bool:
    return config["id_tokens"] == "item"


def _reads_words(config: Any) -> bool:
    return DIRECT in config["tasks"] or config["sequential_whole_word"] == "graph"


def _ids(config: Any) -> str:
    if config["item_ids"] != "auto":
        return config["item_ids"]
    return "sequential_p5" if config["protocol"] == "published" else "random"


def _edges(config: Any) -> str:
    if config["graph_edges"] != "auto":
        return config["graph_edges"]
    return "any" if config["protocol"] == "published" else "train"


PAPER: tuple[Said, ...] = (
    Said("t5", "t5-small", lambda value: str(value).rpartition("/")[2] == "t5-small", "5.1.3"),
    Said("tasks", "sequential and direct", lambda value: len(value) == 2, "5.1.3"),
    exactly("semantics", "llm", "4.1"),
    Said(
        "user_semantics",
        "llm",
        lambda value: value == "llm",
        "4.2",
        in_force=lambda c: c["semantics"] if c["user_semantics"] == "auto" else c["user_semantics"],
        matters=_aligns,
    ),
    exactly("item_text", "fused", "4.1", matters=lambda c: c["semantics"] != "random"),
    exactly("user_text", "fused", "4.2", matters=_aligns),
    exactly("use_adapter", True, "(2)", matters=lambda c: c["semantics"] != "random"),
    exactly("adapter_activation", "none", "(2)", matters=lambda c: c["use_adapter"]),
    exactly("id_tokens", "digits", "(5)"),
    Said("item_ids", "does not say; random", lambda value: value == "random", "5.1", in_force=_ids),
    exactly(
        "user_tokens",
        "digits",
        "(5)",
        in_force=lambda c: "digits" if numbers_users(c) else "word",
    ),
    exactly("training_prompts", "all", "released"),
    exactly("sequential_whole_word", "graph", "(5)", matters=_learns(SEQUENTIAL)),
    exactly("sequential_user", True, "(5)", in_force=names_users, matters=_learns(SEQUENTIAL)),
    exactly(
        "decoder_whole_words",
        False,
        "(5)",
        in_force=lambda c: uses_decoder_words(c, _one_token(c)),
        matters=_reads_words,
    ),
    exactly(
        "direct_loss",
        "tokens",
        "(11)",
        in_force=lambda c: "candidates" if chooses_among_candidates(c, _one_token(c)) else "tokens",
        matters=_learns(DIRECT),
    ),
    exactly("n_negatives", 99, "5.1.3", matters=_learns(DIRECT)),
    exactly("gcn_layers", 4, "Figure 4"),
    exactly("graph_edges", "train", "A.3", in_force=_edges),
    exactly("hide_edges", "none", "(3)", in_force=hidden_edges),
    exactly("learn_users", True, "(3)", in_force=learns_users),
    exactly("n_similar_users", 100, "A.4", matters=_aligns),
    exactly("user_graph", "directed", "(6)", matters=_aligns),
    exactly("similar_users_index", "exact", "(6)", matters=_aligns),
    exactly("use_alignment_direct", True, "(8)", matters=_learns(DIRECT)),
    exactly("use_alignment_sequential", True, "(9)", matters=_learns(SEQUENTIAL)),
    exactly("alignment", "infonce", "(8), (9)", matters=_aligns),
    Said("align_weight", "a weight above 0", lambda value: value > 0, "(10)"),
    exactly("align_every", 1, "(10)", matters=_aligns),
    exactly("refine_every", "batch", "4.3", matters=lambda c: len(c["tasks"]) > 1),
    exactly("decode", "beam", "4.4.2", matters=lambda c: not _one_token(c)),
    exactly("train_batch_size", 64, "5.1.3"),
    exactly("decay_epochs", 0, "released"),
    exactly("learning_rate", 1e-3, "released"),
    exactly("sigma", 5, "released"),
    exactly("stop_on", "loss", "released"),
)
ALWAYS: tuple[str, ...] = (
    "the third task of the paper's training, reviews, is not learned (5.1.3)",
)  # no key removes them
