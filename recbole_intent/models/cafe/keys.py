"""Configuration keys of CaFe (defaults and sources: properties/model/CaFe.yaml)."""

from recbole_intent.config.backbone_keys import BACKBONE
from recbole_intent.config.clustering_keys import NEXT_ITEM
from recbole_intent.config.key_kinds import Choice, Number, Word
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import rows

KEYS = (
    *BACKBONE,
    *rows("hidden_size hidden_dropout_prob layer_norm_eps initializer_range"),
    *NEXT_ITEM,
    Key("category_column", Word(), "column of the .item file, or auto"),
    Key("category", Choice("last", "first", "all"), "which of an item's names is its category"),
    Key("category_weight", Number(0), "of the loss of the next category; 0: none"),
)
