"""Values of the VELI4SBR paper, for `deviations`."""

from typing import Any

from recbole_intent.modeling.deviations import Said, exactly, one_of


def _has_intents(config: Any) -> bool:
    return config["intents"] != "none"


def _enriches(config: Any) -> bool:
    return _has_intents(config) and config["enrich"]


def _by_transformer(config: Any) -> bool:
    return config["backbone"] != "GRU4Rec"


PAPER: tuple[Said, ...] = (
    Said("intents", "those of an LLM", lambda value: value != "none", "4.1"),
    exactly("fusion_without_intents", False, "(11)"),
    exactly("shuffle_intents", False, "4.1", matters=_has_intents),
    exactly("intent_share", 1.0, "4.1", matters=_has_intents),
    exactly("intent_threshold", 0.5, "(11)", matters=_has_intents),
    exactly("loss_type", "BCE2", "(12)"),
    exactly(
        "hard_negatives", True, "(12)", matters=lambda c: _has_intents(c) and c["loss_type"] != "CE"
    ),
    one_of("intent_weight", (1e-4, 1e-3, 1e-2), "B.1", matters=_has_intents),
    one_of("decouple_weight", (1e-4, 1e-3, 1e-2), "B.1", matters=_has_intents),
    exactly(
        "decoupling", "paper", "(17)", matters=lambda c: _has_intents(c) and c["decouple_weight"]
    ),
    exactly("enrich", True, "4.2.2", matters=_has_intents),
    exactly("enrich_every", 5, "4.2.2", matters=_enriches),
    one_of("n_neighbors", (5, 10, 15, 20, 25), "B.1", matters=_enriches),
    exactly("enrich_scope", "all", "(16)", matters=_enriches),
    exactly("n_layers", 2, "B.1", matters=_by_transformer),
    exactly("n_heads", 2, "B.1", matters=_by_transformer),
    exactly("hidden_size", 64, "B.1"),
    one_of("hidden_dropout_prob", (0.1, 0.15, 0.2), "B.1"),
    one_of("attn_dropout_prob", (0.1, 0.15, 0.2), "B.1", matters=_by_transformer),
    exactly("learner", "adam", "B.1"),
    one_of("learning_rate", (1e-3, 1.5e-3, 2e-3), "B.1"),
    one_of("weight_decay", (1e-4, 1e-3, 1e-2), "B.1"),
)
ALWAYS: tuple[str, ...] = ()  # no key removes them
