"""ICLRec: contrast of random views, and of views with their sequence's cluster."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "ICLRec",
        "recbole_intent.models.iclrec.model:ICLRec",
        trainer="recbole_intent.trainer.clustering:ClusteringTrainer",
        keys="recbole_intent.models.iclrec.keys",
        trim=True,
        title="Intent Contrastive Learning for Sequential Recommendation",
        url="https://arxiv.org/abs/2202.02519",
        family="sequential",
        fast="shared passes",
    ),
)
