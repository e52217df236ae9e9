"""Configuration keys of LLM4SBR (defaults and sources: properties/model/LLM4SBR.yaml)."""

from recbole_intent.config.key_kinds import Choice, Number, Word
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import rows

KEYS = (
    *rows("embedding_size step"),
    Key("loss_type", Choice("CE"), "cross-entropy over all items"),
    Key("session_texts", Choice("train", "all"), "which sessions have texts"),
    Key("text_weight", Number(0), "of the alignment with texts; 0: none"),
    Key(
        "intents",
        Word(),
        "auto, or the PATH of an .intent file",
        needs=({"session_texts": Choice("train")},),
    ),
    Key("item_vectors", Word(), "auto, or the PATH of vectors of items"),
)
