"""Configuration keys of BSARec (defaults: properties/model/BSARec.yaml)."""

from recbole_intent.config import softmax_keys
from recbole_intent.config.key_kinds import Choice, Number, Whole
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import rows

KEYS = (
    Key("loss_type", Choice("CE"), "cross-entropy"),
    Key("filter_weight", Number(0, 1), "α, share of the frequency filter"),
    Key("filter_frequencies", Whole(1), "c; the lowest c // 2 + 1 frequencies pass"),
    *rows(
        "hidden_size n_layers n_heads inner_size hidden_dropout_prob attn_dropout_prob hidden_act "
        "layer_norm_eps initializer_range"
    ),
    *softmax_keys.KEYS,
)
