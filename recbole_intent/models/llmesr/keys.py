"""Configuration keys of LLM-ESR (defaults and sources: properties/model/LLMESR.yaml)."""

from recbole_intent.config.backbone_keys import BACKBONE
from recbole_intent.config.clustering_keys import NEXT_ITEM
from recbole_intent.config.key_kinds import Choice, Flag, Number, Whole
from recbole_intent.config.keys import Key, Rule, Values
from recbole_intent.config.recbole_keys import rows
from recbole_intent.config.text_keys import TEXTS

_CROSS = ({"use_cross_attention": Choice(True)},)
_ALIGNED = ({"align_weight": Number(above=0)},)


def _cross_heads(values: Values) -> str | None:
    heads, width = values["cross_heads"], values["hidden_size"]
    is_wrong = values["use_cross_attention"] and width % heads
    return f"{heads} is not a divisor of hidden_size {width}" if is_wrong else None


KEYS = (
    *BACKBONE,
    *rows("hidden_size hidden_dropout_prob layer_norm_eps initializer_range"),
    *NEXT_ITEM,
    *TEXTS,
    Key("use_cross_attention", Flag(), "False: each view is encoded alone"),
    Key("cross_heads", Whole(1), "heads of the cross attention", needs=_CROSS),
    Key("align_weight", Number(0), "α, of the distance to similar users; 0: none"),
    Key("alignment", Choice("kd", "cl"), "squared distance, or contrast", needs=_ALIGNED),
    Key("n_similar_users", Whole(1), "similar users of a user", needs=_ALIGNED),
    Key("item_weight", Number(0), "β, of the contrast of an item's two views; 0: none"),
)
RULES = (Rule(("cross_heads", "hidden_size", "use_cross_attention"), _cross_heads),)
