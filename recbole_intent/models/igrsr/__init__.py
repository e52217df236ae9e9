"""IGR-SR: intent-guided reasoning for sequential recommendation."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "IGRSR",
        "recbole_intent.models.igrsr.model:IGRSR",
        trainer="recbole_intent.models.distilled.trainer:DistilledTrainer",
        keys="recbole_intent.models.igrsr.keys",
        paper="recbole_intent.models.igrsr.paper",
        inputs="recbole_intent.models.distilled.start:input_files",
        trim=True,
        splits=True,
        title="Intent-Guided Reasoning for Sequential Recommendation",
        url="https://arxiv.org/abs/2512.14034",
        family="sequential",
        fast="shared passes",
    ),
)
