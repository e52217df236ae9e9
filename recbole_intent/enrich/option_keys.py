"""Table of the options of `enrich`, one row each; their defaults are in properties/enrich."""

from recbole_intent.config.key_kinds import (
    Choice,
    Flag,
    Kind,
    Later,
    Listing,
    Number,
    Optional,
    Whole,
    Word,
)
from recbole_intent.config.key_table import KeyTable
from recbole_intent.config.keys import Key

_DTYPE = Choice("float32", "bfloat16")


def _providers() -> Kind:
    from recbole_intent.llm.providers import PROVIDERS  # heavier than this table

    return Choice(*PROVIDERS)


_OPENAI = ({"llm.source": Choice("openai")},)

_LLM = (
    Key("llm.source", Later(_providers), "an endpoint, or SmolLM2-135M in this process"),
    Key("llm.base_url", Optional(Word()), "address of the endpoint", needs=_OPENAI),
    Key("llm.model", Optional(Word()), "name of the model at the endpoint"),
    Key("llm.api_key_env", Optional(Word()), "variable that holds the key", needs=_OPENAI),
    Key("llm.temperature", Number(0), "of sampling"),
    Key("llm.max_tokens", Whole(1), "of an answer"),
    Key("llm.reason", Optional(Flag()), "ask for a reason too"),
    Key("llm.dtype", _DTYPE, "of embedded", needs=({"llm.source": Choice("embedded")},)),
)

_COMMON = (
    *_LLM,
    Key("attempts", Whole(1, 20), "T, answers to a question, at most"),
    Key("concurrency", Whole(1), "requests under way at once"),
    Key("seed", Whole(0), "of samples and candidates"),
    Key("sample", Number(above=0, most=1), "share of what is asked about"),
    Key("limit", Optional(Whole(1)), "ask only for the first N"),
    Key("min_coverage", Number(0, 1), "a smaller share with answers ends with exit code 1"),
    Key("domain", Optional(Word()), "what prompts call the catalogue"),
    Key("runner", Choice("local", "ray"), "where requests are made"),
    Key("workers", Whole(1), "of Ray", needs=({"runner": Choice("ray")},)),
)


def _table(*keys: Key) -> KeyTable:
    return KeyTable({key.name: key for key in (*_COMMON, *keys)})


INTENTS = _table(
    Key("llm.name_candidates", Optional(Flag()), "the schema allows candidates alone"),
    Key("intents", Choice("llm", "metadata"), "where intents come from"),
    Key("validate", Choice("generate", "likelihood"), "how an answer is validated"),
    Key(
        "min_margin",
        Number(0),
        "least lead of the right item, in nats",
        needs=({"validate": Choice("likelihood")},),
    ),
    Key("first_pool", Choice("llm", "metadata"), "where the first intents come from"),
    Key("new_intents", Flag(), "answers may name intents outside the pool"),
    Key("negatives", Whole(1, 100), "M, random candidates"),
    Key("refine_features", Flag(), "let the model refine the items' features"),
    Key("predict_and_correct", Flag(), "validate and correct answers"),
    Key("window", Whole(1), "sessions that see the same pool"),
    Key("rest", Choice("none", "metadata"), "intents of sessions that are not asked about"),
    Key("encoder", Optional(Word()), "of the items' texts"),
    Key("session_shown", Whole(1), "items of a session in a prompt, at most"),
    Key("features_shown", Whole(1), "features of an item, at most"),
    Key("pool_shown", Whole(1), "intents of the pool in a prompt, at most"),
    Key("pool_size", Whole(1), "intents of the first pool, at most"),
    Key("intents_per_session", Whole(1), "intents of a session, at most"),
)

PROFILES = _table(
    Key("semantics", Choice("llm", "metadata"), "where texts come from"),
    Key("steps", Choice("all", "texts", "vectors"), "what is made"),
    Key("users_sample", Whole(1, 20), "items of a user in a prompt, at most"),
    Key("items_shown", Choice("fused", "metadata"), "texts of a user's items in prompts"),
    Key(
        "texts",
        Listing(Choice("fused", "positive", "negative"), unique=True, alone=True),
        "which texts get vectors",
    ),
    Key("encoder", Word(), "of the texts"),
    Key("encoder_dtype", _DTYPE, "of the encoder"),
    Key("encoder_batch", Whole(1), "texts at once"),
    Key("encoder_chunk", Whole(1), "texts between two savings"),
)

_OPTIMISED = ({"optimise": Choice(True)},)
RANKINGS = _table(
    Key("n_candidates", Whole(1), "drawn items next to each target, as in the run"),
    Key("candidates_seed", Whole(0), "of that draw, as in the run"),
    Key("optimise", Flag(), "refine the strategy before ranking"),
    *(
        Key(name, Whole(1), text, needs=_OPTIMISED)
        for name, text in (
            ("train_sessions", "training sessions to try strategies on"),
            ("valid_sessions", "validation sessions that choose the final one"),
            ("depth", "rounds of refinement"),
            ("batch", "training sessions per refinement"),
            ("good_rank", "a target ranked below it is an error"),
            ("errors_shown", "errors in a request, at most"),
            ("reasons", "reasons asked for"),
            ("tried", "strategies that a round compares, at most"),
            ("kept", "strategies that a round keeps, at most"),
            ("rounds", "draws of the bandit"),
            ("round_sessions", "training sessions per draw"),
        )
    ),
    Key("paraphrases", Whole(0), "of a refined strategy", needs=_OPTIMISED),
    Key("exploration", Number(0), "weight of the bandit's bonus", needs=_OPTIMISED),
    Key("session_shown", Whole(1), "items of a session in a prompt, at most"),
)
