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
    ),
)
