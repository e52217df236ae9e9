"""ReaRec: latent reasoning steps after a causal encoder of histories."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "ReaRec",
        "recbole_intent.models.rearec.model:ReaRec",
        trainer="recbole_intent.models.rearec.trainer:ReaRecTrainer",
        keys="recbole_intent.models.rearec.keys",
        trim=True,
        title="Think Before Recommend: Unleashing the Latent Reasoning Power for Sequential "
        "Recommendation",
        url="https://arxiv.org/abs/2503.22675",
        family="sequential",
    ),
)
