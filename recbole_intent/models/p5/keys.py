"""Configuration keys of P5 (defaults and authors' values: properties/model/P5.yaml)."""

from recbole_intent.config.key_kinds import Choice, Number
from recbole_intent.config.keys import Key
from recbole_intent.models.generative.keys import DIGITS, SHARED_KEYS, shared_rules

KEYS = (
    *SHARED_KEYS,
    Key("item_ids", Choice("random", "sequential_p5"), "how items are numbered", needs=DIGITS),
    Key("place_sigma", Number(0), "σ of whole words by place at the start"),
)
RULES = shared_rules("P5")
