"""Configuration keys of IGRSR (defaults and paper's ranges: properties/model/IGRSR.yaml)."""

from recbole_intent.config import softmax_keys
from recbole_intent.config.key_kinds import Choice, Flag, Number, Optional, Whole
from recbole_intent.config.keys import Key, Rule, Values
from recbole_intent.config.recbole_keys import DROPOUT
from recbole_intent.models.distilled import keys as distilled_start_keys
from recbole_intent.models.distilled.keys import STARTS_ITEMS, start_keys

_LID = ({"use_lid": Choice(True)},)
_DISTILLER = (*_LID, *STARTS_ITEMS)
# The two views differ by masks of intents, or only by dropout.
_ICR = (
    {"use_icr": Choice(True), "use_lid": Choice(True)},
    {"use_icr": Choice(True), "icr_views": Choice("dropout")},
)
_MASKS = ({**_LID[0], "use_icr": Choice(True), "icr_views": Choice("masks")},)
_WEIGHTED = tuple({**views, "icr_weight": Number(above=0)} for views in _ICR)
KEYS = (
    Key("loss_type", Choice("CE"), "cross-entropy over all items"),
    *softmax_keys.KEYS,
    softmax_keys.POSITIONS,
    Key("item_init", Choice("auto", "random", "distiller"), "the item table at the start"),
    Key("norm", Choice("paper", "sasrec"), "one LayerNorm a layer (7), or after each sub-layer"),
    Key("use_lid", Flag(), "distil intents; False: w/o LID"),
    Key("n_prefix", Whole(0), "k, prefix vectors", needs=_LID),
    Key("n_intents", Whole(1), "m, intents", needs=_LID),
    *start_keys(_DISTILLER),
    Key(
        "distiller_folds",
        Whole(1),
        "K; from 2: users are read by distillers that were not trained on them",
        needs=_LID,
        neutral=1,
    ),
    Key("intent_scope", Choice("prefix", "causal"), "whose intents a position reads", needs=_LID),
    Key("fusion", Choice("cross", "concat"), "cross-attention, or intents as items", needs=_LID),
    Key(
        "intent_norm",
        Choice("none", "layer"),
        "at the end of f in (4)",
        needs=_LID,
        neutral="none",
    ),
    Key("intent_dropout_prob", DROPOUT, "on the projected intents", needs=_LID),
    Key(
        "cross_attn_dropout_prob",
        Optional(DROPOUT),
        "of the cross-attention; empty: attn_dropout_prob",
        needs=({**_LID[0], "fusion": Choice("cross")},),
        neutral=None,
    ),
    Key("use_icr", Flag(), "contrast views; False: w/o ICR"),
    Key(
        "p_mask",
        Number(0, below=1),
        "share of masked intents",
        needs=_MASKS,
    ),
    Key("icr_rescale", Flag(), "divide a view by 1 - p_mask", needs=_MASKS, neutral=False),
    Key("icr_weight", Number(0), "weight of the ICR loss", needs=_ICR),
    Key("icr_temperature", Number(above=0), "of the ICR loss", needs=_WEIGHTED),
    Key(
        "icr_views",
        Choice("masks", "dropout"),
        "how views differ",
        needs=({"use_icr": Choice(True)},),
    ),
    Key("icr_main", Choice("separate", "view"), "what the main loss reads", needs=_ICR),
    Key("icr_share", Number(above=0, most=1), "share of a batch with ICR", needs=_WEIGHTED),
)


def _fusion(values: Values) -> str | None:
    is_causal = values["fusion"] == "concat" and values["intent_scope"] == "causal"
    if values["use_lid"] and is_causal:
        return "concat is only defined for intent_scope: prefix"
    return None


RULES = (
    *distilled_start_keys.RULES,
    Rule(("fusion", "intent_scope", "use_lid"), _fusion),
)
