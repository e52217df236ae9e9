"""Configuration keys of models that read the text vectors of `enrich`."""

from recbole_intent.config.key_kinds import Choice, Optional, Word
from recbole_intent.config.keys import Key

TEXTS = (
    Key("texts_folder", Optional(Word()), "folder of enriched texts; the dataset's if empty"),
    Key("semantics", Choice("llm", "metadata"), "where texts come from"),
)
