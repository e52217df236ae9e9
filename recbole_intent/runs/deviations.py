"""Deviations of a run from its model's paper: one table of the paper's values per model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recbole_intent.config.presets import class_names
from recbole_intent.models.distilled.start import item_init_of
from recbole_intent.models.isrf.options import (
    DIRECT,
    SEQUENTIAL,
    aligned_tasks,
    chooses_among_candidates,
    hidden_edges,
    learns_users,
    names_users,
    numbers_users,
    uses_decoder_words,
)


@dataclass(frozen=True)
class Said:
    """A paper's value or range of one key.

    Attributes:
        key: the configuration key.
        paper: the paper's value or range, in words.
        holds: whether an effective value agrees with the paper.
        source: section or equation; "released" if only the authors' code gives the value.
        in_force: computes the effective value from a configuration; None: the configured value.
        matters: whether the key has an effect under a configuration.
    """

    key: str
    paper: str
    holds: Callable[[Any], bool]
    source: str
    in_force: Callable[[Any], Any] | None = None
    matters: Callable[[Any], bool] = lambda config: True

    def deviation(self, config: Any) -> str | None:
        """Return one line if the effective value differs from the paper's, else None."""
        if not self.matters(config):
            return None
        value = config[self.key] if self.in_force is None else self.in_force(config)
        if self.holds(value):
            return None
        if self.source == "released":
            return f"{self.key}: {value} (released: {self.paper})"
        return f"{self.key}: {value} (paper: {self.paper}, {self.source})"


def _is(key: str, value: Any, source: str, **options: Any) -> Said:
    # 5 and 5.0 are equal; True and 1 are not.
    def holds(found: Any) -> bool:
        return found == value and isinstance(found, bool) == isinstance(value, bool)

    return Said(key, str(value), holds, source, **options)


def _one_of(key: str, values: Sequence[Any], source: str, **options: Any) -> Said:
    shown = ", ".join(str(value) for value in values)
    return Said(key, f"one of {shown}", lambda found: found in values, source, **options)


def _within(key: str, least: float, most: float, source: str, **options: Any) -> Said:
    def holds(found: float) -> bool:
        return least <= found <= most

    return Said(key, f"{least} to {most}", holds, source, **options)


def _uses_lid(config: Any) -> bool:
    return config["use_lid"]


def _uses_icr(config: Any) -> bool:
    return config["use_icr"] and (config["use_lid"] or config["icr_views"] != "masks")


def _uses_masks(config: Any) -> bool:
    return _uses_icr(config) and config["icr_views"] == "masks"


def _has_intents(config: Any) -> bool:
    return config["intents"] != "none"


def _enriches(config: Any) -> bool:
    return _has_intents(config) and config["enrich"]


def _by_transformer(config: Any) -> bool:
    return config["backbone"] != "GRU4Rec"


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


_IGRSR = (
    _is("use_lid", True, "3.1"),
    _is("item_init", "random", "3.3", in_force=item_init_of),
    _within("n_prefix", 2, 32, "4.1.3", matters=_uses_lid),
    _within("n_intents", 1, 5, "4.1.3", matters=_uses_lid),
    _one_of("distiller_size", (8, 16, 32), "4.1.3", matters=_uses_lid),
    _is("distiller_folds", 1, "3.1", matters=_uses_lid),
    _is("intent_scope", "prefix", "(2)", matters=_uses_lid),
    _is("intent_norm", "none", "(4)", matters=_uses_lid),
    _is("intent_dropout_prob", 0.0, "(4)", matters=_uses_lid),
    _is("fusion", "cross", "(5)", matters=_uses_lid),
    _is("norm", "paper", "(7)"),
    _is("hidden_size", 64, "4.1.3"),
    _is("use_icr", True, "3.4"),
    _is("icr_views", "masks", "(8)", matters=_uses_icr),
    _is("icr_rescale", False, "(8)", matters=_uses_masks),
    _within("p_mask", 0.1, 0.8, "4.1.3", matters=_uses_masks),
    _is("icr_main", "separate", "(9)", matters=_uses_icr),
    _is("icr_share", 1.0, "(10)", matters=_uses_icr),
    Said("icr_weight", "a weight above 0", lambda found: found > 0, "3.4.2", matters=_uses_icr),
)
_VELI4SBR = (
    Said("intents", "those of an LLM", lambda found: found != "none", "4.1"),
    _is("fusion_without_intents", False, "(11)"),
    _is("shuffle_intents", False, "4.1", matters=_has_intents),
    _is("intent_share", 1.0, "4.1", matters=_has_intents),
    _is("intent_threshold", 0.5, "(11)", matters=_has_intents),
    _is("loss_type", "BCE2", "(12)"),
    _is(
        "hard_negatives", True, "(12)", matters=lambda c: _has_intents(c) and c["loss_type"] != "CE"
    ),
    _one_of("intent_weight", (1e-4, 1e-3, 1e-2), "B.1", matters=_has_intents),
    _one_of("decouple_weight", (1e-4, 1e-3, 1e-2), "B.1", matters=_has_intents),
    _is("decoupling", "paper", "(17)", matters=lambda c: _has_intents(c) and c["decouple_weight"]),
    _is("enrich", True, "4.2.2", matters=_has_intents),
    _is("enrich_every", 5, "4.2.2", matters=_enriches),
    _one_of("n_neighbors", (5, 10, 15, 20, 25), "B.1", matters=_enriches),
    _is("enrich_scope", "all", "(16)", matters=_enriches),
    _is("n_layers", 2, "B.1", matters=_by_transformer),
    _is("n_heads", 2, "B.1", matters=_by_transformer),
    _is("hidden_size", 64, "B.1"),
    _one_of("hidden_dropout_prob", (0.1, 0.15, 0.2), "B.1"),
    _one_of("attn_dropout_prob", (0.1, 0.15, 0.2), "B.1", matters=_by_transformer),
    _is("learner", "adam", "B.1"),
    _one_of("learning_rate", (1e-3, 1.5e-3, 2e-3), "B.1"),
    _one_of("weight_decay", (1e-4, 1e-3, 1e-2), "B.1"),
)
_ISRF = (
    Said("t5", "t5-small", lambda found: str(found).rpartition("/")[2] == "t5-small", "5.1.3"),
    Said("tasks", "sequential and direct", lambda found: len(found) == 2, "5.1.3"),
    _is("semantics", "llm", "4.1"),
    Said(
        "user_semantics",
        "llm",
        lambda found: found == "llm",
        "4.2",
        in_force=lambda c: c["semantics"] if c["user_semantics"] == "auto" else c["user_semantics"],
        matters=_aligns,
    ),
    _is("item_text", "fused", "4.1", matters=lambda c: c["semantics"] != "random"),
    _is("user_text", "fused", "4.2", matters=_aligns),
    _is("use_adapter", True, "(2)", matters=lambda c: c["semantics"] != "random"),
    _is("adapter_activation", "none", "(2)", matters=lambda c: c["use_adapter"]),
    _is("id_tokens", "digits", "(5)"),
    Said("item_ids", "does not say; random", lambda found: found == "random", "5.1", in_force=_ids),
    _is(
        "user_tokens",
        "digits",
        "(5)",
        in_force=lambda c: "digits" if numbers_users(c) else "word",
    ),
    _is("training_prompts", "all", "released"),
    _is("sequential_whole_word", "graph", "(5)", matters=_learns(SEQUENTIAL)),
    _is("sequential_user", True, "(5)", in_force=names_users, matters=_learns(SEQUENTIAL)),
    _is(
        "decoder_whole_words",
        False,
        "(5)",
        in_force=lambda c: uses_decoder_words(c, _one_token(c)),
        matters=_reads_words,
    ),
    _is(
        "direct_loss",
        "tokens",
        "(11)",
        in_force=lambda c: "candidates" if chooses_among_candidates(c, _one_token(c)) else "tokens",
        matters=_learns(DIRECT),
    ),
    _is("n_negatives", 99, "5.1.3", matters=_learns(DIRECT)),
    _is("gcn_layers", 4, "Figure 4"),
    _is("graph_edges", "train", "A.3", in_force=_edges),
    _is("hide_edges", "none", "(3)", in_force=hidden_edges),
    _is("learn_users", True, "(3)", in_force=learns_users),
    _is("n_similar_users", 100, "A.4", matters=_aligns),
    _is("user_graph", "directed", "(6)", matters=_aligns),
    _is("similar_users_index", "exact", "(6)", matters=_aligns),
    _is("use_alignment_direct", True, "(8)", matters=_learns(DIRECT)),
    _is("use_alignment_sequential", True, "(9)", matters=_learns(SEQUENTIAL)),
    _is("alignment", "infonce", "(8), (9)", matters=_aligns),
    Said("align_weight", "a weight above 0", lambda found: found > 0, "(10)"),
    _is("align_every", 1, "(10)", matters=_aligns),
    _is("refine_every", "batch", "4.3", matters=lambda c: len(c["tasks"]) > 1),
    _is("decode", "beam", "4.4.2", matters=lambda c: not _one_token(c)),
    _is("train_batch_size", 64, "5.1.3"),
    _is("decay_epochs", 0, "released"),
    _is("learning_rate", 1e-3, "released"),
    _is("sigma", 5, "released"),
    _is("stop_on", "loss", "released"),
)
# Deviations that no key can remove, by model.
_ALWAYS = {
    "ISRF": ("the third task of the paper's training, reviews, is not learned (5.1.3)",),
}
PAPERS: dict[str, tuple[Said, ...]] = {"IGRSR": _IGRSR, "VELI4SBR": _VELI4SBR, "ISRF": _ISRF}


def deviations(config: Any, model_class: type, passes: int | None = None) -> list[str]:
    """Return one line per deviation from the paper; none for a model without a table.

    Args:
        config: the run's configuration.
        model_class: the model's class or a subclass.
        passes: groups of targets that share a training pass; None: each target has its own.
    """
    name = next((name for name in class_names(model_class) if name in PAPERS), None)
    if name is None:
        return []
    found = [said.deviation(config) for said in PAPERS[name]]
    if passes is not None:
        shown = "each target has a pass of its own"
        found.append(f"passes: {passes} (paper: {shown}; those of one share dropout's masks)")
        if config["windows"] == "strided":
            found.append("windows: strided (paper: each target has the history before it)")
    if config["precision"] != "fp32":
        found.append(f"precision: {config['precision']} (paper: full precision, as far as it says)")
    if config["matmul_precision"] != "highest":
        found.append(
            f"matmul_precision: {config['matmul_precision']} "
            "(paper: full precision, as far as it says)"
        )
    return [line for line in found if line] + list(_ALWAYS.get(name, ()))
