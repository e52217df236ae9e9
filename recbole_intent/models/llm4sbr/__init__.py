"""LLM4SBR: a session graph aligned with a language model's intents, long-term and short-term."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "LLM4SBR",
        "recbole_intent.models.llm4sbr.model:LLM4SBR",
        keys="recbole_intent.models.llm4sbr.keys",
        paper="recbole_intent.models.llm4sbr.paper",
        inputs="recbole_intent.models.llm4sbr.texts:input_files",
        trim=True,
        title="Multi-view Intent Learning and Alignment with Large Language Models for "
        "Session-based Recommendation",
        url="https://arxiv.org/abs/2402.13840",
        family="session",
        needs="intents, text vectors",
    ),
)
