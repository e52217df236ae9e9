"""Configuration keys of models whose items may start from a distiller (`distilled_start.py`)."""

from dataclasses import replace

from recbole_intent.config import recbole_keys, softmax_keys
from recbole_intent.config.key_kinds import Choice, Either, Where, Whole, Word
from recbole_intent.config.keys import Key, Needs, Rule, Values
from recbole_intent.config.recbole_keys import DROPOUT

_EVEN = Where(
    Whole(2), lambda width: width % 2 == 0, "an even number: the distiller has 2 heads", (3, 33)
)
STARTS_ITEMS: Needs = ({"item_init": Choice("distiller")},)


def start_keys(needs: Needs) -> tuple[Key, ...]:
    """Key-table rows of the distiller.

    Args:
        needs: the condition under which a distiller is used at all.
    """
    return (
        Key("distiller_size", _EVEN, "d_l, width of the distiller", needs=needs),
        Key("distiller_dropout_prob", DROPOUT, "of its training", needs=needs),
        Key("distiller_passes", Either(Choice("all"), Whole(1)), "of its training", needs=needs),
        Key("lid_checkpoint", Word(), "auto: train it; or a PATH", needs=needs),
    )


def _fits(values: Values) -> str | None:
    key = "embedding_size" if "embedding_size" in values else "hidden_size"
    if values["item_init"] == "distiller" and values.get("item_vectors") is not None:
        return "distiller and item_vectors both start the item table; give one"
    is_auto = values["item_init"] == "auto" and values.get("use_lid", False)
    is_auto = is_auto and values.get("item_vectors") is None
    takes_vectors = is_auto or values["item_init"] == "distiller"
    if takes_vectors and values["distiller_size"] > values[key]:
        return (
            f"{'auto means distiller here, which' if is_auto else 'distiller'} needs a "
            f"distiller_size of at most {values[key]}, the width of the item table ({key}), not "
            f"{values['distiller_size']}; or item_init: random"
        )
    return None


# The behaviour of runs made before these models had such keys.
_BEFORE = {
    "distiller_size": 32,
    "distiller_dropout_prob": 0.5,
    "distiller_passes": 4,
    "lid_checkpoint": "auto",
}

KEYS = (
    *recbole_keys.KEYS,
    *softmax_keys.KEYS,
    Key(
        "item_init",
        Choice("auto", "random", "distiller"),
        "the item table at the start",
        neutral="random",
    ),
    *(replace(key, neutral=_BEFORE[key.name]) for key in start_keys(STARTS_ITEMS)),
)

RULES = (Rule(("item_init", "distiller_size"), _fits),)
