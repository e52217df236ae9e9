"""LightGCN on sparse matrices."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "LightGCN",
        "recbole_intent.models.lightgcn.model:LightGCN",
        keys="recbole_intent.config.recbole_keys",
        reference="recbole.model.general_recommender.lightgcn:LightGCN",
        title="LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
        url="https://arxiv.org/abs/2002.02126",
        family="general",
        needs="extra graph",
        fast="sparse graph",
    ),
)
