"""Configuration keys of next-item models on the softmax of their loss (`NextItemMixin`)."""

from recbole_intent.config.key_kinds import Choice, Flag, Whole
from recbole_intent.config.keys import Key

_DRAWN = ({"softmax": Choice("uniform", "log_uniform")},)
_UNEVEN = ({"softmax": Choice("log_uniform", "in_batch")},)

KEYS = (
    Key(
        "softmax",
        Choice("full", "uniform", "log_uniform", "in_batch"),
        "over all items, or the target and sampled negatives",
        neutral="full",
    ),
    Key("softmax_negatives", Whole(1), "sampled negatives", needs=_DRAWN, neutral=256),
    Key(
        "softmax_shared",
        Flag(),
        "one sample for a whole batch",
        needs=_DRAWN,
        neutral=False,
    ),
    Key("softmax_log_q", Flag(), "logQ correction", needs=_UNEVEN, neutral=True),
)

POSITIONS = Key(
    "positions", Choice("start", "end"), "from which end positions count", neutral="start"
)
