"""Values of FAPAT's released code, for `deviations`."""

from recbole_intent.modeling.deviations import Said, exactly

PAPER: tuple[Said, ...] = (
    exactly("hidden_size", 128, "released"),
    exactly("n_layers", 2, "released"),
    exactly("n_heads", 4, "released"),
    exactly("hidden_dropout_prob", 0.2, "released"),
    exactly("pattern_min_nodes", 3, "released"),
    exactly("pattern_max_nodes", 4, "released"),
    exactly("pattern_min_edges", 3, "released"),
    exactly("pattern_max_edges", 6, "released"),
    exactly("pattern_min_count", 2, "released"),
    exactly("max_patterns", 30000, "released"),
    exactly("memory_size", 12, "released"),
    exactly("gate_views", 2, "released"),
    exactly("weight_decay", 1e-5, "released"),
)
ALWAYS: tuple[str, ...] = (
    "memory: without buckets of relative positions (released: 8)",
    "graphs: with all neighbours (released: at most 12 per node)",
    "loss: without the optional tasks of next attributes",
)
