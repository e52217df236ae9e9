"""ELCRec: ICLRec's contrasts with centres that are learned end to end."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "ELCRec",
        "recbole_intent.models.elcrec.model:ELCRec",
        trainer="recbole_intent.trainer.clustering:ClusteringTrainer",
        keys="recbole_intent.models.elcrec.keys",
        trim=True,
        title="End-to-end Learnable Clustering for Intent Learning in Recommendation",
        url="https://arxiv.org/abs/2401.05975",
        family="sequential",
        fast="shared passes",
    ),
)
