"""Configuration keys of ISRF (defaults and paper's ranges: properties/model/ISRF.yaml)."""

from recbole_intent.config.key_kinds import Choice, Flag, Number, Optional, Whole, Word
from recbole_intent.config.keys import Key
from recbole_intent.models.generative.keys import (
    DIGITS,
    GRAPH_KEYS,
    LEARNS_DIRECT,
    SHARED_KEYS,
    SOFT_PROMPTS,
    has,
    shared_rules,
    together,
)

_AUTO = Choice("auto", True, False)
_TEXTS = Choice("fused", "positive", "negative")


_ALIGNED = tuple(
    {"align_weight": Number(above=0), f"use_alignment_{task}": Choice(True), "tasks": has(task)}
    for task in ("direct", "sequential")
)
_INFONCE = tuple({**each, "alignment": Choice("infonce")} for each in _ALIGNED)
_WEIGHTED = ({"align_weight": Number(above=0)},)
_WITH_TEXTS = ({"semantics": Choice("llm", "metadata")},)

KEYS = (
    *SHARED_KEYS,
    SOFT_PROMPTS,
    *GRAPH_KEYS,
    Key("user_tokens", Choice("auto", "digits", "word"), "what a user is written as"),
    Key(
        "item_ids",
        Choice("auto", "random", "tree", "sequential_p5"),
        "how items are numbered",
        needs=DIGITS,
    ),
    Key("sequential_user", _AUTO, "a history's prompt names its user"),
    Key("decoder_whole_words", _AUTO, "whole words in the decoder too"),
    Key("sequential_whole_word", Choice("graph", "position"), "what a history's whole words are"),
    Key(
        "direct_loss",
        Choice("auto", "candidates", "tokens"),
        "what the softmax is over",
        needs=LEARNS_DIRECT,
    ),
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
    Key("protocol", Choice("clean", "published"), "what `auto` is"),
)


RULES = (
    *shared_rules("ISRF"),
    together(
        "user_tokens sequential_whole_word",
        lambda v: v["user_tokens"] == "word" and v["sequential_whole_word"] == "position",
        "word needs sequential_whole_word: graph",
    ),
    together(
        "decoder_whole_words id_tokens",
        lambda v: v["decoder_whole_words"] is True and v["id_tokens"] != "item",
        "True needs items that are one token: id_tokens: item",
    ),
    together(
        "direct_loss id_tokens",
        lambda v: v["direct_loss"] == "candidates" and v["id_tokens"] != "item",
        "candidates needs items that are one token: id_tokens: item",
    ),
    together(
        "item_text semantics",
        lambda v: v["semantics"] == "metadata" and v["item_text"] != "fused",
        "{item_text}: only an LLM writes it; metadata has fused alone",
    ),
)
