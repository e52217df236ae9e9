"""Configuration keys of MiaSRec (defaults and authors' ranges: properties/model/MiaSRec.yaml)."""

from recbole_intent.config.key_kinds import Choice, Number, Whole
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import rows

KEYS = (
    Key("loss_type", Choice("CE"), "cross-entropy over all items"),
    *rows("sess_dropout item_dropout temperature"),
    Key("max_repeat", Whole(1), "largest repeat count with a vector of its own"),
    Key("entmax_alpha", Number(1), "α of entmax; 1: softmax, which keeps all"),
    Key("importance", Choice("select", "weigh"), "what the importance of an intent does"),
    Key("beta_logit", Number(0, 1), "β, share of the best intent in a score"),
)
