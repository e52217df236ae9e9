"""Configuration keys of eSASRec (defaults: properties/model/eSASRec.yaml)."""

from recbole_intent.config import softmax_keys
from recbole_intent.config.key_kinds import Choice, Whole
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import rows

KEYS = (
    Key("loss_type", Choice("CE"), "cross-entropy"),
    Key("ffn_multiplier", Whole(1), "width of the FFN in units of hidden_size"),
    *rows("hidden_size n_layers n_heads hidden_dropout_prob"),
    *softmax_keys.KEYS,
    softmax_keys.POSITIONS,
)
