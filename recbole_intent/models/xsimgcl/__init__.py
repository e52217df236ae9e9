"""XSimGCL: LightGCN with noise in its layers and contrast between two of them."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "XSimGCL",
        "recbole_intent.models.xsimgcl.model:XSimGCL",
        keys="recbole_intent.models.xsimgcl.keys",
        title="XSimGCL: Towards Extremely Simple Graph Contrastive Learning for Recommendation",
        url="https://arxiv.org/abs/2209.02544",
        family="general",
        needs="extra graph",
    ),
)
