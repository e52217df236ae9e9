"""Configuration keys of ICLRec (defaults and sources: properties/model/ICLRec.yaml)."""

from recbole_intent.config.clustering_keys import (
    AUGMENTATIONS,
    CONTRAST,
    ENCODER,
    NEXT_ITEM,
    kmeans_keys,
)
from recbole_intent.config.key_kinds import Number
from recbole_intent.config.keys import Key
from recbole_intent.config.softmax_keys import POSITIONS

KEYS = (
    *ENCODER,
    POSITIONS,
    *NEXT_ITEM,
    Key("instance_weight", Number(0), "of the contrast of two views; 0: none"),
    Key("intent_weight", Number(0), "λ, of the contrast of views with their centre; 0: none"),
    *CONTRAST,
    *AUGMENTATIONS,
    *kmeans_keys(({"intent_weight": Number(above=0)},)),
)
