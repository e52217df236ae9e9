"""LLM-ESR: two views of items, by their ids and by a language model's texts."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "LLMESR",
        "recbole_intent.models.llmesr.model:LLMESR",
        trainer="recbole_intent.models.llmesr.trainer:LLMESRTrainer",
        keys="recbole_intent.models.llmesr.keys",
        inputs="recbole_intent.models.llmesr.texts:input_files",
        trim=True,
        title="LLM-ESR: Large Language Models Enhancement for Long-tailed Sequential "
        "Recommendation",
        url="https://arxiv.org/abs/2405.20646",
        family="sequential",
        needs="text vectors",
        fast="shared passes",
    ),
)
