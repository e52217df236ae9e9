"""Configuration keys of FAPAT (defaults and sources: properties/model/FAPAT.yaml)."""

from typing import Any

from recbole_intent.config.key_kinds import Choice, Either, Flag, Listing, Whole, Word
from recbole_intent.config.keys import Key, Rule, Values
from recbole_intent.config.recbole_keys import rows


def _wrong_nodes(values: Values) -> str | None:
    least, most = values["pattern_min_nodes"], values["pattern_max_nodes"]
    return f"{least} is above pattern_max_nodes: {most}" if least > most else None


def _wrong_edges(values: Values) -> str | None:
    least, nodes = values["pattern_min_edges"], values["pattern_max_nodes"]
    most: Any = min(values["pattern_max_edges"], nodes * (nodes - 1) // 2)
    if least <= most:
        return None
    return f"{least} is more than the {most} edges that a pattern of {nodes} nodes may have"


KEYS = (
    *rows(
        "hidden_size n_layers n_heads inner_size hidden_dropout_prob attn_dropout_prob hidden_act "
        "layer_norm_eps initializer_range"
    ),
    Key("loss_type", Choice("CE"), "cross-entropy over all items"),
    Key(
        "attribute_columns",
        Either(Choice("auto"), Listing(Word(), unique=True)),
        "columns of the .item file, one view each, or auto",
    ),
    Key("category", Choice("last", "first", "all"), "which of an item's names is its attribute"),
    Key("pattern_min_nodes", Whole(2, 6), "of a pattern"),
    Key("pattern_max_nodes", Whole(2, 6), "of a pattern"),
    Key("pattern_min_edges", Whole(1, 15), "of a pattern"),
    Key("pattern_max_edges", Whole(1, 15), "of a pattern"),
    Key("pattern_min_count", Whole(1), "training sessions with a pattern, at least"),
    Key("max_patterns", Whole(0), "patterns of a view, at most; 0: none"),
    Key("memory_size", Whole(1), "patterns of a view that a session remembers, at most"),
    Key("gate_views", Whole(1), "views that are mixed at a place, at most"),
    Key("gate_noise", Flag(), "draw the gates' noise in training"),
)
RULES = (
    Rule(("pattern_min_nodes", "pattern_max_nodes"), _wrong_nodes),
    Rule(("pattern_min_edges", "pattern_max_edges", "pattern_max_nodes"), _wrong_edges),
)
