"""LARES: a core block that refines the states of a history again and again."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "LARES",
        "recbole_intent.models.lares.model:LARES",
        trainer="recbole_intent.models.lares.trainer:LARESTrainer",
        keys="recbole_intent.models.lares.keys",
        trim=True,
        title="LARES: Latent Reasoning for Sequential Recommendation",
        url="https://arxiv.org/abs/2505.16865",
        family="sequential",
    ),
)
