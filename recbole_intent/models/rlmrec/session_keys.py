"""Configuration keys of RLMRecSeq (defaults: properties/model/RLMRecSeq.yaml)."""

from recbole_intent.config.backbone_keys import BACKBONE
from recbole_intent.config.clustering_keys import NEXT_ITEM
from recbole_intent.config.recbole_keys import rows
from recbole_intent.models.rlmrec.keys import ALIGNMENT

KEYS = (
    *BACKBONE,
    *rows("hidden_size hidden_dropout_prob layer_norm_eps initializer_range"),
    *NEXT_ITEM,
    *ALIGNMENT,
)
