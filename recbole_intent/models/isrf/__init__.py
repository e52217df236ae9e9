"""ISRF: explicit and group interests, and a T5 that writes the next item."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "ISRF",
        "recbole_intent.models.isrf.model:ISRF",
        trainer="recbole_intent.models.isrf.trainer:ISRFTrainer",
        keys="recbole_intent.models.isrf.keys",
        paper="recbole_intent.models.isrf.paper",
        inputs="recbole_intent.models.isrf.semantics:input_files",
        trim=True,
        title="Iterative Semantic Reasoning from Individual to Group Interests for "
        "Generative Recommendation with LLMs",
        url="https://github.com/htired/ISRF",
        family="generative",
        needs="profiles, vectors; extras t5, graph",
    ),
)
