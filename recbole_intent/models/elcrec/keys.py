"""Configuration keys of ELCRec (defaults and sources: properties/model/ELCRec.yaml)."""

from recbole_intent.config.clustering_keys import (
    AUGMENTATIONS,
    CONTRAST,
    ENCODER,
    NEXT_ITEM,
    kmeans_keys,
)
from recbole_intent.config.key_kinds import Choice, Number
from recbole_intent.config.keys import Key
from recbole_intent.config.softmax_keys import POSITIONS

_INSTANCE = {"instance_weight": Number(above=0)}
_CENTRES = (
    {"intent_weight": Number(above=0)},
    {"cluster_weight": Number(above=0)},
    {**_INSTANCE, "prototype": Choice("shift", "concat")},
)

KEYS = (
    *ENCODER,
    POSITIONS,
    *NEXT_ITEM,
    Key("instance_weight", Number(0), "of the contrast of two views; 0: none"),
    Key("intent_weight", Number(0), "of the contrast of views with their centre; 0: none"),
    Key("cluster_weight", Number(0), "α, of the distance of histories to the centres; 0: none"),
    Key(
        "prototype",
        Choice("shift", "concat", "none"),
        "what becomes of the centre nearest to a state in the contrast of two views",
        needs=(_INSTANCE,),
    ),
    *CONTRAST,
    *AUGMENTATIONS,
    *kmeans_keys(_CENTRES, repeats=False),
)
