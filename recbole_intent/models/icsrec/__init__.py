"""ICSRec: contrast of sub-sequences with one target, and of sequences with their cluster."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "ICSRec",
        "recbole_intent.models.icsrec.model:ICSRec",
        trainer="recbole_intent.models.icsrec.trainer:ICSRecTrainer",
        keys="recbole_intent.models.icsrec.keys",
        trim=True,
        title="Intent Contrastive Learning with Cross Subsequences for Sequential Recommendation",
        url="https://arxiv.org/abs/2310.14318",
        family="sequential",
        fast="shared passes",
    ),
)
