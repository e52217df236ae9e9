"""VELI4SBR: validated intents of a language model for session-based recommendation."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "VELI4SBR",
        "recbole_intent.models.veli4sbr.model:VELI4SBR",
        trainer="recbole_intent.models.veli4sbr.trainer:VELI4SBRTrainer",
        keys="recbole_intent.models.veli4sbr.keys",
        paper="recbole_intent.models.veli4sbr.paper",
        inputs="recbole_intent.models.veli4sbr.session_intents:input_files",
        trim=True,
        splits=True,
        title="Session-Based Recommendation with Validated and Enriched LLM Intents",
        url="https://arxiv.org/abs/2508.00570",
        family="session",
        needs="intents",
        fast="shared passes",
    ),
)
