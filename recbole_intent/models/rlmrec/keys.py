"""Configuration keys of RLMRec (defaults and sources: properties/model/RLMRec.yaml)."""

from recbole_intent.config.key_kinds import Choice, Number
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import rows
from recbole_intent.config.text_keys import TEXTS

_TEXTS = ({"text_weight": Number(above=0)},)

ALIGNMENT = (
    Key("variant", Choice("con", "gen"), "contrastive, or generative alignment"),
    *TEXTS,
    Key("text_weight", Number(0), "of the alignment with texts; 0: none"),
    Key("temperature", Number(above=0), "τ of the alignment", needs=_TEXTS),
    Key(
        "mask_ratio",
        Number(above=0, most=1),
        "share of masked users and items",
        needs=({"variant": Choice("gen")},),
    ),
)
KEYS = (
    *rows("embedding_size n_layers"),
    Key("reg_weight", Number(0), "of the squared length of all weights"),
    Key("keep_rate", Number(above=0, most=1), "share of the edges that a training step keeps"),
    *ALIGNMENT,
)
