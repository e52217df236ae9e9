"""Configuration keys of ICSRec (defaults and sources: properties/model/ICSRec.yaml)."""

from recbole_intent.config.clustering_keys import CONTRAST, ENCODER, kmeans_keys
from recbole_intent.config.key_kinds import Choice, Number
from recbole_intent.config.keys import Key
from recbole_intent.config.softmax_keys import POSITIONS

_FINE = ({"fine_weight": Number(above=0)},)

KEYS = (
    *ENCODER,
    POSITIONS,
    Key("loss_type", Choice("CE"), "cross-entropy over all items"),
    Key("coarse_weight", Number(0), "λ, of the contrast of sequences with one target; 0: none"),
    Key("fine_weight", Number(0), "β, of the contrast of sequences with their cluster; 0: none"),
    *CONTRAST,
    *kmeans_keys(_FINE),
)
