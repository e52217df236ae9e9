"""Configuration keys of ReaRec (defaults and authors' ranges: properties/model/ReaRec.yaml)."""

from recbole_intent.config.key_kinds import Choice, Number, Whole
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import DROPOUT

_STEPS = {"reason_steps": Whole(1)}
_PRL = {"variant": Choice("prl"), **_STEPS}
_ERL = {"variant": Choice("erl"), **_STEPS}
_PROGRESS = ({**_PRL, "progressive_weight": Number(above=0)},)
_CONTRAST = ({**_PRL, "contrast_weight": Number(above=0)},)

KEYS = (
    Key("variant", Choice("prl", "erl"), "progressive, or ensemble reasoning learning"),
    Key("loss_type", Choice("CE"), "cross-entropy over all items"),
    Key("reason_steps", Whole(0), "K, reasoning steps; 0: the plain encoder"),
    Key("input_dropout_prob", DROPOUT, "on the inputs of encoder and reasoning steps"),
    Key("temperature", Number(above=0), "τ of the logits"),
    Key("progressive_weight", Number(0), "of the losses of earlier steps", needs=(_PRL,)),
    Key("temperature_scale", Number(1), "s: step k has τ s^(K-k)", needs=_PROGRESS),
    Key("contrast_weight", Number(0), "of the contrast with noisy steps", needs=(_PRL,)),
    Key("noise_std", Number(above=0), "γ of the noise in a step's input", needs=_CONTRAST),
    Key("contrast_after", Whole(0), "epochs without contrast", needs=_CONTRAST),
    Key("kl_weight", Number(0), "λ of the divergence between steps", needs=(_ERL,)),
)
