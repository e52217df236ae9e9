"""Configuration keys of PO4ISR (defaults: properties/model/PO4ISR.yaml)."""

from recbole_intent.config.key_kinds import Choice, Word
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import rows

KEYS = (
    *rows(
        "hidden_size n_layers n_heads inner_size hidden_dropout_prob attn_dropout_prob hidden_act "
        "layer_norm_eps initializer_range"
    ),
    Key("loss_type", Choice("CE"), "of the SASRec that ranks all items"),
    Key(
        "rankings",
        Word(),
        "auto, or the PATH of a .ranking file",
        needs=({"task": Choice("direct")},),
    ),
)
