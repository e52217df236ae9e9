"""Configuration keys of XSimGCL (defaults and sources: properties/model/XSimGCL.yaml)."""

from recbole_intent.config.key_kinds import Number, Whole
from recbole_intent.config.keys import Key, Rule, Values
from recbole_intent.config.recbole_keys import rows

_CONTRAST = ({"contrast_weight": Number(above=0)},)


def _layer(values: Values) -> str | None:
    layer, n_layers = values["contrast_layer"], values["n_layers"]
    return None if layer <= n_layers else f"{layer} is above n_layers: {n_layers}"


KEYS = (
    *rows("embedding_size n_layers"),
    Key("reg_weight", Number(0), "L2 regularization"),
    Key("noise_size", Number(0), "ε, length of the noise in each layer; 0: none"),
    Key("contrast_weight", Number(0), "λ, of the contrast; 0: none"),
    Key("contrast_layer", Whole(1), "l*, the layer contrasted with the mean", needs=_CONTRAST),
    Key("temperature", Number(above=0), "τ of the contrast", needs=_CONTRAST),
)
RULES = (Rule(("contrast_layer", "n_layers"), _layer),)
