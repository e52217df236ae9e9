"""BSARec: self-attention mixed with a frequency filter."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "BSARec",
        "recbole_intent.models.bsarec.model:BSARec",
        keys="recbole_intent.models.bsarec.keys",
        splits=True,
        title="An Attentive Inductive Bias for Sequential Recommendation beyond the Self-Attention",
        url="https://arxiv.org/abs/2312.10325",
        family="sequential",
    ),
)
