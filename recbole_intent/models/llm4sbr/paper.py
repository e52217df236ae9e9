"""Values of LLM4SBR's released code, for `deviations`."""

from recbole_intent.modeling.deviations import Said, exactly

PAPER: tuple[Said, ...] = (
    # Named in every result: neither value has the release's texts.
    Said(
        "session_texts",
        "of a language model, of test sessions too",
        lambda value: False,
        "released",
    ),
    exactly("text_weight", 0.1, "released"),
    exactly("embedding_size", 100, "released"),
    exactly("step", 1, "released"),
    exactly("learner", "adam", "released"),
    exactly("weight_decay", 1e-5, "released"),
)
ALWAYS: tuple[str, ...] = (
    "lr_schedule: without the release's factor of 0.1 every 3 epochs",
    "attention: over real items (released: padding has a share)",
)
