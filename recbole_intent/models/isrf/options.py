"""ISRF's derived options: the values of `auto`, and the tasks that align group interests."""

from typing import Any

from recbole_intent.models.generative.prompt_reader import Style
from recbole_intent.models.generative.tasks import DIRECT, NO_EDGES, SEQUENTIAL, TARGETS


def aligned_tasks(config: Any) -> list[str]:
    """The tasks whose batches align group interests, which require similar users."""
    wanted = {
        SEQUENTIAL: config["use_alignment_sequential"],
        DIRECT: config["use_alignment_direct"],
    }
    return [task for task in config["tasks"] if wanted[task] and config["align_weight"]]


def learns_users(config: Any) -> bool:
    """Whether users' own vectors are learned; auto: by protocol."""
    return _if_published(config, "learn_users")


def names_users(config: Any) -> bool:
    """Whether sequential prompts name their user; auto: by protocol."""
    return _if_published(config, "sequential_user")


def hidden_edges(config: Any) -> str:
    """The edges to remove from the graph for a training step; auto: by protocol."""
    if config["hide_edges"] != "auto":
        return config["hide_edges"]
    return NO_EDGES if config["protocol"] == "published" else TARGETS


def _if_published(config: Any, key: str) -> bool:
    return config["protocol"] == "published" if config[key] == "auto" else config[key]


def numbers_users(config: Any) -> bool:
    """Whether a user's tokens identify them; auto: by protocol, and if items are digits too."""
    by_place = config["sequential_whole_word"] == "position"
    if config["user_tokens"] == "auto":
        whole = config["id_tokens"] == "item" and config["protocol"] == "clean"
        return by_place or not whole
    return config["user_tokens"] == "digits"


def uses_decoder_words(config: Any, one_token: bool) -> bool:
    """Whether the decoder uses whole words; auto: by protocol, and if each item is one token."""
    return _where_one_token(config, "decoder_whole_words", True, one_token)


def chooses_among_candidates(config: Any, one_token: bool) -> bool:
    """Whether the direct loss covers only the candidates; auto: as `uses_decoder_words`."""
    return _where_one_token(config, "direct_loss", "candidates", one_token)


def _where_one_token(config: Any, key: str, value: Any, one_token: bool) -> bool:
    if config[key] == "auto":
        return one_token and config["protocol"] == "clean"
    return config[key] == value


def prompt_style(config: Any) -> Style:
    """The prompts of a configuration."""
    by_place = config["sequential_whole_word"] == "position"
    return Style(
        alpha={SEQUENTIAL: config["alpha_sequential"], DIRECT: config["alpha_direct"]},
        n_soft_prompts=config["n_soft_prompts"],
        names_users=names_users(config),
        numbers_users=numbers_users(config),
        varies=config["training_prompts"] == "all",
        n_places=config["MAX_ITEM_LIST_LENGTH"] + 1 if by_place else 0,
        by_place=by_place,
        decoder_words=uses_decoder_words(config, config["id_tokens"] == "item"),
    )
