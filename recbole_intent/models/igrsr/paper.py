"""Values of the IGR-SR paper, for `deviations`."""

from typing import Any

from recbole_intent.modeling.deviations import Said, exactly, one_of, within
from recbole_intent.models.distilled.start import item_init_of


def _uses_lid(config: Any) -> bool:
    return config["use_lid"]


def _uses_icr(config: Any) -> bool:
    return config["use_icr"] and (config["use_lid"] or config["icr_views"] != "masks")


def _uses_masks(config: Any) -> bool:
    return _uses_icr(config) and config["icr_views"] == "masks"


PAPER: tuple[Said, ...] = (
    exactly("use_lid", True, "3.1"),
    exactly("item_init", "random", "3.3", in_force=item_init_of),
    within("n_prefix", 2, 32, "4.1.3", matters=_uses_lid),
    within("n_intents", 1, 5, "4.1.3", matters=_uses_lid),
    one_of("distiller_size", (8, 16, 32), "4.1.3", matters=_uses_lid),
    exactly("distiller_folds", 1, "3.1", matters=_uses_lid),
    exactly("intent_scope", "prefix", "(2)", matters=_uses_lid),
    exactly("intent_norm", "none", "(4)", matters=_uses_lid),
    exactly("intent_dropout_prob", 0.0, "(4)", matters=_uses_lid),
    exactly("fusion", "cross", "(5)", matters=_uses_lid),
    exactly("norm", "paper", "(7)"),
    exactly("hidden_size", 64, "4.1.3"),
    exactly("use_icr", True, "3.4"),
    exactly("icr_views", "masks", "(8)", matters=_uses_icr),
    exactly("icr_rescale", False, "(8)", matters=_uses_masks),
    within("p_mask", 0.1, 0.8, "4.1.3", matters=_uses_masks),
    exactly("icr_main", "separate", "(9)", matters=_uses_icr),
    exactly("icr_share", 1.0, "(10)", matters=_uses_icr),
    Said("icr_weight", "a weight above 0", lambda value: value > 0, "3.4.2", matters=_uses_icr),
)
ALWAYS: tuple[str, ...] = ()  # no key removes them
