"""eSASRec: SASRec with LiGR layers and a sampled softmax."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "eSASRec",
        "recbole_intent.models.esasrec.model:eSASRec",
        keys="recbole_intent.models.esasrec.keys",
        trim=True,
        splits=True,
        title="eSASRec: Enhancing Transformer-based Recommendations in a Modular Fashion",
        url="https://arxiv.org/abs/2508.06450",
        family="sequential",
        fast="shared passes",
    ),
)
