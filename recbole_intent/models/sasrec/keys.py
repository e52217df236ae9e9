"""Configuration keys of SASRec (RecBole's, and properties/model/SASRec.yaml)."""

from recbole_intent.config.softmax_keys import POSITIONS
from recbole_intent.models.distilled import keys as distilled

KEYS = (*distilled.KEYS, POSITIONS)
RULES = distilled.RULES
