"""Configuration keys that all generative models share."""

from collections.abc import Callable

from recbole_intent.config.key_kinds import Choice, Listing, Number, Where, Whole, Word
from recbole_intent.config.keys import Key, Rule, Values
from recbole_intent.config.recbole_keys import rows

_TASKS = Listing(Choice("sequential", "direct"), unique=True)


def has(task: str) -> Where:
    """Values of `tasks` that contain a task."""
    return Where(_TASKS, lambda tasks: task in tasks, f"tasks with {task}")


DIGITS = ({"id_tokens": Choice("digits")},)
LEARNS_DIRECT = ({"tasks": has("direct")},)
_SCRATCH = ({"t5": Choice("scratch")},)
_BOTH = ({"tasks": Listing(Choice("sequential", "direct"), 2)},)

SHARED_KEYS = (
    Key("loss_type", Choice("CE"), "cross-entropy of tokens"),
    Key("t5", Word(), "scratch, or the name or PATH of a pretrained one"),
    Key("id_tokens", Choice("digits", "item"), "what an item is written as"),
    *(
        Key(row.name, row.kind, row.help, needs=_SCRATCH)
        for row in rows(
            "n_layers n_heads hidden_size inner_size hidden_dropout_prob attn_dropout_prob "
            "initializer_range"
        )
    ),
    Key("training_prompts", Choice("all", "bare"), "texts of prompts in training"),
    Key("alpha_sequential", Number(0), "α, weight of whole words"),
    Key("alpha_direct", Number(0), "α of the direct task"),
    Key("tasks", _TASKS, "what is learned, in turn"),
    Key("refine_every", Choice("batch", "epoch"), "how tasks take turns", needs=_BOTH),
    Key("direct_targets", Whole(1), "of a user in an epoch", needs=LEARNS_DIRECT),
    Key("n_negatives", Whole(1), "of the direct task's training prompts", needs=LEARNS_DIRECT),
    Key("decode", Choice("beam", "exact"), "how items of several tokens are ranked", needs=DIGITS),
    Key(
        "num_beams",
        Whole(1),
        "beams",
        needs=({**DIGITS[0], "decode": Choice("beam")},),
    ),
    Key("stop_on", Choice("metric", "loss"), "what chooses the epoch"),
    Key(
        "decay_epochs",
        Whole(0),
        "epochs until the learning rate is 0; 0: it stays",
        needs=({"lr_schedule": Choice("constant")},),
    ),
)
SOFT_PROMPTS = Key("n_soft_prompts", Whole(0), "learned vectors in front of a prompt")
GRAPH_KEYS = (
    Key("gcn_layers", Whole(0), "L, layers of the graph convolution"),
    Key("sigma", Number(0), "σ of the graph's vectors at the start"),
)


def together(keys: str, is_wrong: Callable[[Values], object], words: str) -> Rule:
    """A rule about several keys, whose message has their values in braces."""
    return Rule(
        tuple(keys.split()), lambda values: words.format(**values) if is_wrong(values) else None
    )


def shared_rules(model: str) -> tuple[Rule, ...]:
    """The rules of every generative model; messages name it."""
    return (
        together(
            "tasks task",
            lambda v: "sequential" not in v["tasks"] and v["task"] != "direct",
            f"{{tasks}} lacks sequential, so this {model} writes no items, which task: {{task}} "
            "asks for; train with tasks: [sequential, direct]",
        ),
        together(
            "compile",
            lambda v: v["compile"],
            f"{model}'s prompts are of another length in each batch; leave it out",
        ),
        together(
            "session_split",
            lambda v: v["session_split"],
            f"{model} learns its users, and a test's sessions are new to it; use a dataset "
            "prepared without --sessions",
        ),
    )
