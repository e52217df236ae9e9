"""Values of CaFe's released code, for `deviations`."""

from recbole_intent.modeling.deviations import Said, exactly

PAPER: tuple[Said, ...] = (
    exactly("backbone", "SASRec", "3.2"),
    exactly("next_item_loss", "BCE", "3.4"),
    exactly("category_weight", 1.0, "3.4"),
    exactly("hidden_size", 128, "released"),
    exactly("n_layers", 2, "released"),
    exactly("n_heads", 1, "released"),
    exactly("hidden_dropout_prob", 0.3, "released"),
)
ALWAYS: tuple[str, ...] = ("attention: without local heads (released script: none either)",)
