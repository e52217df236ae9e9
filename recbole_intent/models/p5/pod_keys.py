"""Configuration keys of POD (defaults and authors' values: properties/model/POD.yaml)."""

from recbole_intent.models.generative.keys import SOFT_PROMPTS, shared_rules
from recbole_intent.models.p5 import keys

KEYS = (*keys.KEYS, SOFT_PROMPTS)
RULES = shared_rules("POD")
