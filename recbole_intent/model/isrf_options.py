"""What the properties of ISRF mean together: `auto`, and what is aligned."""

from typing import Any

SEQUENTIAL, DIRECT = "sequential", "direct"  # its tasks
# Which edges leave the graph for a training step.
NO_EDGES, TARGETS, UNSEEN = "none", "targets", "unseen"


def aligned_tasks(config: Any) -> list[str]:
    """The tasks whose batches align group interests: what users alike are found for."""
    wanted = {
        SEQUENTIAL: config["use_alignment_sequential"],
        DIRECT: config["use_alignment_direct"],
    }
    return [task for task in config["tasks"] if wanted[task] and config["align_weight"]]


def learns_users(config: Any) -> bool:
    """Are users' own vectors learned? auto: by protocol."""
    return _if_published(config, "learn_users")


def names_users(config: Any) -> bool:
    """Do sequential prompts name their user? auto: by protocol."""
    return _if_published(config, "sequential_user")


def hidden_edges(config: Any) -> str:
    """Which edges leave the graph for a training step; auto: by protocol."""
    if config["hide_edges"] != "auto":
        return config["hide_edges"]
    return NO_EDGES if config["protocol"] == "published" else TARGETS


def _if_published(config: Any, key: str) -> bool:
    return config["protocol"] == "published" if config[key] == "auto" else config[key]


def numbers_users(config: Any) -> bool:
    """Do a user's tokens say who it is? auto: by protocol, and where each item is digits too."""
    by_place = config["sequential_whole_word"] == "position"
    if config["user_tokens"] == "auto":
        whole = config["id_tokens"] == "item" and config["protocol"] == "clean"
        return by_place or not whole
    return config["user_tokens"] == "digits"


def uses_decoder_words(config: Any, one_token: bool) -> bool:
    """Do whole words reach the decoder? auto: by protocol, and where each item is one token."""
    return _where_one_token(config, "decoder_whole_words", True, one_token)


def chooses_among_candidates(config: Any, one_token: bool) -> bool:
    """Is the direct loss over the candidates alone? auto: as `uses_decoder_words`."""
    return _where_one_token(config, "direct_loss", "candidates", one_token)


def _where_one_token(config: Any, key: str, value: Any, one_token: bool) -> bool:
    if config[key] == "auto":
        return one_token and config["protocol"] == "clean"
    return config[key] == value
