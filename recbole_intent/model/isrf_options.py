"""Which values the properties of ISRF may have."""

from typing import Any

from recbole_intent.errors import UserError

SEQUENTIAL, DIRECT = "sequential", "direct"  # its tasks
CHOICE_LOSSES = ("auto", "candidates", "tokens")
USER_TOKENS = ("auto", "digits", "word")
# Which edges leave the graph for a training step.
NO_EDGES, TARGETS, UNSEEN = "none", "targets", "unseen"
HIDDEN_EDGES = ("auto", NO_EDGES, TARGETS, UNSEEN)


def check_options(config: Any) -> None:
    """Look at all properties of ISRF.

    Raises:
        UserError: the first one that is out of its range.
    """
    tasks = config["tasks"]
    known = isinstance(tasks, list) and tasks and set(tasks) <= {SEQUENTIAL, DIRECT}
    for key, is_good, wanted in (
        ("tasks", known and len(set(tasks)) == len(tasks), "a list of sequential and direct"),
        ("protocol", config["protocol"] in ("clean", "published"), "clean or published"),
        ("decode", config["decode"] in ("beam", "exact"), "beam or exact"),
        ("alignment", config["alignment"] in ("infonce", "soft_target"), "infonce or soft_target"),
        ("refine_every", config["refine_every"] in ("batch", "epoch"), "batch or epoch"),
        ("stop_on", config["stop_on"] in ("metric", "loss"), "metric or loss"),
        ("training_prompts", config["training_prompts"] in ("all", "bare"), "all or bare"),
        (
            "sequential_whole_word",
            config["sequential_whole_word"] in ("graph", "position"),
            "graph or position",
        ),
        ("direct_loss", config["direct_loss"] in CHOICE_LOSSES, ", ".join(CHOICE_LOSSES)),
        (
            "decoder_whole_words",
            config["decoder_whole_words"] in ("auto", True, False),
            "auto, True or False",
        ),
        ("user_tokens", config["user_tokens"] in USER_TOKENS, ", ".join(USER_TOKENS)),
        (
            "similar_users_index",
            config["similar_users_index"] in ("exact", "faiss"),
            "exact or faiss",
        ),
        (
            "user_graph",
            config["user_graph"] in ("directed", "symmetric"),
            "directed or symmetric",
        ),
        ("adapter_activation", config["adapter_activation"] in ("none", "gelu"), "none or gelu"),
        ("hide_edges", config["hide_edges"] in HIDDEN_EDGES, ", ".join(HIDDEN_EDGES)),
        ("learn_users", config["learn_users"] in ("auto", True, False), "auto, True or False"),
        (
            "sequential_user",
            config["sequential_user"] in ("auto", True, False),
            "auto, True or False",
        ),
    ):
        if not is_good:
            raise UserError(f"{key}: {config[key]!r} must be {wanted}")
    for keys, least in (
        ("num_beams n_negatives direct_targets n_similar_users semantic_size align_every", 1),
        ("gcn_layers n_soft_prompts decay_epochs", 0),
    ):
        for key in keys.split():
            if not isinstance(config[key], int) or config[key] < least:
                raise UserError(f"{key}: {config[key]!r} must be a whole number from {least}")
    for key in ("align_weight", "alpha_sequential", "alpha_direct", "sigma"):
        if config[key] < 0:
            raise UserError(f"{key}: {config[key]!r} must be at least 0")
    if config["align_temperature"] <= 0:
        raise UserError(f"align_temperature: {config['align_temperature']!r} must be positive")
    if SEQUENTIAL not in tasks and config["task"] != "direct":
        raise UserError(
            f"tasks: {tasks} lacks sequential, so this ISRF writes no items, which "
            f"task: {config['task']} asks for; train with tasks: [sequential, direct]"
        )
    if config["compile"]:
        raise UserError("compile: ISRF's prompts are of another length in each batch; leave it out")
    if config["session_split"]:
        raise UserError(
            "session_split: ISRF learns its users, and a test's sessions are new to it; use a "
            "dataset prepared without --sessions"
        )


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
    """Do a user's tokens say who it is? auto: by protocol, and where each item is digits too.

    Raises:
        UserError: they do not, and nothing else would.
    """
    by_place = config["sequential_whole_word"] == "position"
    if config["user_tokens"] == "auto":
        whole = config["id_tokens"] == "item" and config["protocol"] == "clean"
        return by_place or not whole
    if config["user_tokens"] == "word" and by_place:
        raise UserError("user_tokens: word needs sequential_whole_word: graph")
    return config["user_tokens"] == "digits"


def uses_decoder_words(config: Any, one_token: bool) -> bool:
    """Do whole words reach the decoder? auto: by protocol, and where each item is one token.

    Raises:
        UserError: they should, and items have several tokens.
    """
    return _where_one_token(config, "decoder_whole_words", True, one_token)


def chooses_among_candidates(config: Any, one_token: bool) -> bool:
    """Is the direct loss over the candidates alone? auto: as `uses_decoder_words`.

    Raises:
        UserError: it should be, and items have several tokens.
    """
    return _where_one_token(config, "direct_loss", "candidates", one_token)


def _where_one_token(config: Any, key: str, value: Any, one_token: bool) -> bool:
    if config[key] == value and not one_token:
        raise UserError(f"{key}: {value} needs items that are one token: id_tokens: item")
    if config[key] == "auto":
        return one_token and config["protocol"] == "clean"
    return config[key] == value
