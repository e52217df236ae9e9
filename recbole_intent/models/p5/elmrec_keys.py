"""Configuration keys of ELMRec (defaults and authors' values: properties/model/ELMRec.yaml)."""

from dataclasses import replace

from recbole_intent.config.key_kinds import Choice, Flag
from recbole_intent.config.keys import Key
from recbole_intent.models.generative.keys import GRAPH_KEYS, LEARNS_DIRECT, shared_rules
from recbole_intent.models.p5 import pod_keys

KEYS = (
    *pod_keys.KEYS,
    *(replace(row, needs=LEARNS_DIRECT) for row in GRAPH_KEYS),
    Key("graph_edges", Choice("train", "any"), "interactions of the graph", needs=LEARNS_DIRECT),
    Key(
        "hide_edges",
        Choice("none", "targets"),
        "edges left out in training",
        needs=LEARNS_DIRECT,
    ),
    Key("rerank", Flag(), "items of the history rank behind all others"),
)
RULES = shared_rules("ELMRec")
