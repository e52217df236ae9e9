"""Configuration keys of RSL (defaults: properties/model/RSL.yaml)."""

from recbole_intent.config.key_kinds import Number
from recbole_intent.config.keys import Key
from recbole_intent.models.generative.keys import has, shared_rules
from recbole_intent.models.p5 import keys

_SEQUENTIAL = {"tasks": has("sequential")}

KEYS = (
    *keys.KEYS,
    Key("mask_weight", Number(0), "of the loss of hidden items; 0: none", needs=(_SEQUENTIAL,)),
    Key(
        "mask_ratio",
        Number(above=0, most=1),
        "share of a history's items that are hidden",
        needs=({**_SEQUENTIAL, "mask_weight": Number(above=0)},),
    ),
)
RULES = shared_rules("RSL")
