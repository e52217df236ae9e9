"""Configuration keys of VELI4SBR (defaults and paper's ranges: properties/model/VELI4SBR.yaml)."""

from recbole_intent.config.backbone_keys import BACKBONE
from recbole_intent.config.key_kinds import (
    Choice,
    Either,
    Flag,
    Number,
    Optional,
    Where,
    Whole,
    Word,
)
from recbole_intent.config.keys import Key, Rule, Values

_INTENTS = {"intents": Where(Word(), lambda source: source != "none", "intents")}
_ENRICH = ({**_INTENTS, "enrich": Choice(True)},)
_HAS = (_INTENTS,)
_WEIGHT = Number(0)

KEYS = (
    *BACKBONE,
    Key("loss_type", Choice("BCE2", "CE"), "one random and one hard negative, or all items"),
    Key("hard_negatives", Flag(), "False: two random ones", needs=({"loss_type": Choice("BCE2")},)),
    Key("intent_weight", _WEIGHT, "λ of the loss of intents; 0: none", needs=_HAS),
    Key("decouple_weight", _WEIGHT, "λ of decoupling; 0: none", needs=_HAS),
    Key(
        "decoupling",
        Choice("paper", "orthogonal"),
        "what keeps intents apart",
        needs=({**_INTENTS, "decouple_weight": Number(above=0)},),
        neutral="paper",
    ),
    Key("intents", Word(), "auto, none, or the PATH of an .intent file"),
    Key("fusion_without_intents", Flag(), "a control of intents: none", neutral=False),
    Key("intent_threshold", Number(0, 1), "τ, from which on an intent counts", needs=_HAS),
    Key("intent_share", Number(0, 1), "share of the sessions that keep their intents", needs=_HAS),
    Key("shuffle_intents", Flag(), "a control: intents of another session", needs=_HAS),
    Key("enrich", Flag(), "enrich labels by sessions alike", needs=_HAS),
    Key("enrich_every", Whole(1), "ρ, epochs", needs=_ENRICH),
    Key(
        "n_neighbors",
        Either(Whole(1), Choice("none")),
        "K, sessions alike; none: a session's own prediction alone",
        needs=_ENRICH,
    ),
    Key("enrich_scope", Choice("all", "failed"), "whose labels are enriched", needs=_ENRICH),
    Key("llm_embedding", Flag(), "half of an item's vector comes from its text"),
    Key(
        "item_vectors",
        Optional(Word()),
        "auto, or the PATH of vectors of items; without llm_embedding the item table's start",
    ),
)


def _even(values: Values) -> str | None:
    if values["llm_embedding"] and values["hidden_size"] % 2:
        return f"{values['hidden_size']} must be even with llm_embedding: True"
    return None


def _vectors(values: Values) -> str | None:
    if values["llm_embedding"] and values["item_vectors"] is None:
        return "None must be auto or the PATH of a file of vectors with llm_embedding: True"
    return None


def _control(values: Values) -> str | None:
    if values["fusion_without_intents"] and values["intents"] != "none":
        return "True must be False unless intents: none"
    return None


RULES = (
    Rule(("fusion_without_intents", "intents"), _control),
    Rule(("hidden_size", "llm_embedding"), _even),
    Rule(("item_vectors", "llm_embedding"), _vectors),
)
