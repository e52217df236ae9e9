"""Configuration keys of ISRF (defaults and paper's ranges: properties/model/ISRF.yaml)."""

from collections.abc import Callable

from recbole_intent.config.key_kinds import (
    Choice,
    Flag,
    Listing,
    Number,
    Optional,
    Where,
    Whole,
    Word,
)
from recbole_intent.config.keys import Key, Rule, Values
from recbole_intent.config.recbole_keys import rows

_TASKS = Listing(Choice("sequential", "direct"), unique=True)
_AUTO = Choice("auto", True, False)
_TEXTS = Choice("fused", "positive", "negative")


def _has(task: str) -> Where:
    return Where(_TASKS, lambda tasks: task in tasks, f"tasks with {task}")


_SCRATCH = ({"t5": Choice("scratch")},)
_DIGITS = ({"id_tokens": Choice("digits")},)
_LEARNS_DIRECT = ({"tasks": _has("direct")},)
_BOTH = ({"tasks": Listing(Choice("sequential", "direct"), 2)},)
_ALIGNED = tuple(
    {"align_weight": Number(above=0), f"use_alignment_{task}": Choice(True), "tasks": _has(task)}
    for task in ("direct", "sequential")
)
_INFONCE = tuple({**each, "alignment": Choice("infonce")} for each in _ALIGNED)
_WEIGHTED = ({"align_weight": Number(above=0)},)
_WITH_TEXTS = ({"semantics": Choice("llm", "metadata")},)

KEYS = (
    Key("loss_type", Choice("CE"), "cross-entropy of tokens"),
    Key("t5", Word(), "scratch, or the name or PATH of a pretrained one"),
    Key("id_tokens", Choice("digits", "item"), "what an item is written as"),
    Key("user_tokens", Choice("auto", "digits", "word"), "what a user is written as"),
    *(
        Key(row.name, row.kind, row.help, needs=_SCRATCH)
        for row in rows(
            "n_layers n_heads hidden_size inner_size hidden_dropout_prob attn_dropout_prob "
            "initializer_range"
        )
    ),
    Key(
        "item_ids",
        Choice("auto", "random", "tree", "sequential_p5"),
        "how items are numbered",
        needs=_DIGITS,
    ),
    Key("n_soft_prompts", Whole(0), "learned vectors in front of a prompt"),
    Key("training_prompts", Choice("all", "bare"), "texts of prompts in training"),
    Key("sequential_user", _AUTO, "a history's prompt names its user"),
    Key("alpha_sequential", Number(0), "α, weight of whole words"),
    Key("alpha_direct", Number(0), "α of the direct task"),
    Key("decoder_whole_words", _AUTO, "whole words in the decoder too"),
    Key("sequential_whole_word", Choice("graph", "position"), "what a history's whole words are"),
    Key("tasks", _TASKS, "what is learned, in turn"),
    Key("refine_every", Choice("batch", "epoch"), "how tasks take turns", needs=_BOTH),
    Key("direct_targets", Whole(1), "of a user in an epoch", needs=_LEARNS_DIRECT),
    Key(
        "direct_loss",
        Choice("auto", "candidates", "tokens"),
        "what the softmax is over",
        needs=_LEARNS_DIRECT,
    ),
    Key("n_negatives", Whole(1), "of the direct task's training prompts", needs=_LEARNS_DIRECT),
    Key("texts_folder", Optional(Word()), "folder of enriched texts; the dataset's if empty"),
    Key("semantics", Choice("llm", "metadata", "random"), "where texts come from"),
    Key(
        "user_semantics",
        Choice("auto", "llm", "metadata"),
        "whose texts find users alike",
    ),
    Key("item_text", _TEXTS, "which text of items", needs=_WITH_TEXTS),
    Key("user_text", _TEXTS, "which text of users", needs=_ALIGNED),
    Key("semantic_size", Whole(1), "d', width after PCA", needs=_WITH_TEXTS),
    Key("use_adapter", Flag(), "an adapter after PCA", needs=_WITH_TEXTS),
    Key(
        "adapter_activation",
        Choice("none", "gelu"),
        "of the adapter",
        needs=({**_WITH_TEXTS[0], "use_adapter": Choice(True)},),
    ),
    Key("gcn_layers", Whole(0), "L, layers of the graph convolution"),
    Key("sigma", Number(0), "σ of users' vectors at the start"),
    Key("graph_edges", Choice("auto", "train", "any"), "interactions of the graph"),
    Key("learn_users", _AUTO, "users' own vectors are learned"),
    Key("hide_edges", Choice("auto", "none", "targets", "unseen"), "edges left out in training"),
    Key("n_similar_users", Whole(1), "k, users alike", needs=_ALIGNED),
    Key("similar_users_index", Choice("exact", "faiss"), "how they are searched", needs=_ALIGNED),
    Key(
        "use_alignment_direct",
        Flag(),
        "group interests learn from explicit ones (8)",
        needs=_WEIGHTED,
    ),
    Key(
        "use_alignment_sequential",
        Flag(),
        "group interests learn from the history (9)",
        needs=_WEIGHTED,
    ),
    Key(
        "user_graph",
        Choice("directed", "symmetric"),
        "whether users alike read each other (6)",
        needs=_ALIGNED,
        neutral="symmetric",  # the behaviour of runs made before this key existed
    ),
    Key("alignment", Choice("infonce", "soft_target"), "its loss", needs=_ALIGNED),
    Key("align_weight", Number(0), "λ; 0: no alignment"),
    Key("align_temperature", Number(above=0), "τ of infonce", needs=_INFONCE),
    Key("align_every", Whole(1), "alignment in every N-th batch", needs=_ALIGNED),
    Key("decode", Choice("beam", "exact"), "how items of several tokens are ranked", needs=_DIGITS),
    Key(
        "num_beams",
        Whole(1),
        "beams",
        needs=({**_DIGITS[0], "decode": Choice("beam")},),
    ),
    Key("protocol", Choice("clean", "published"), "what `auto` is"),
    Key("stop_on", Choice("metric", "loss"), "what chooses the epoch"),
    Key(
        "decay_epochs",
        Whole(0),
        "epochs until the learning rate is 0; 0: it stays",
        needs=({"lr_schedule": Choice("constant")},),
    ),
)


def _together(keys: str, is_wrong: Callable[[Values], object], words: str) -> Rule:
    return Rule(
        tuple(keys.split()), lambda values: words.format(**values) if is_wrong(values) else None
    )


RULES = (
    _together(
        "tasks task",
        lambda v: "sequential" not in v["tasks"] and v["task"] != "direct",
        "{tasks} lacks sequential, so this ISRF writes no items, which task: {task} asks for; "
        "train with tasks: [sequential, direct]",
    ),
    _together(
        "compile",
        lambda v: v["compile"],
        "ISRF's prompts are of another length in each batch; leave it out",
    ),
    _together(
        "session_split",
        lambda v: v["session_split"],
        "ISRF learns its users, and a test's sessions are new to it; use a dataset prepared "
        "without --sessions",
    ),
    _together(
        "user_tokens sequential_whole_word",
        lambda v: v["user_tokens"] == "word" and v["sequential_whole_word"] == "position",
        "word needs sequential_whole_word: graph",
    ),
    _together(
        "decoder_whole_words id_tokens",
        lambda v: v["decoder_whole_words"] is True and v["id_tokens"] != "item",
        "True needs items that are one token: id_tokens: item",
    ),
    _together(
        "direct_loss id_tokens",
        lambda v: v["direct_loss"] == "candidates" and v["id_tokens"] != "item",
        "candidates needs items that are one token: id_tokens: item",
    ),
    _together(
        "item_text semantics",
        lambda v: v["semantics"] == "metadata" and v["item_text"] != "fused",
        "{item_text}: only an LLM writes it; metadata has fused alone",
    ),
)
