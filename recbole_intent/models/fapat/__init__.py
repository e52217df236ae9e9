"""FAPAT: frequent patterns of item attributes, as a memory of a session Transformer."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "FAPAT",
        "recbole_intent.models.fapat.model:FAPAT",
        keys="recbole_intent.models.fapat.keys",
        paper="recbole_intent.models.fapat.paper",
        trim=True,
        splits=True,
        title="Enhancing User Intent Capture in Session-Based Recommendation with Attribute "
        "Patterns",
        url="https://arxiv.org/abs/2312.16199",
        family="session",
        needs="categories",
    ),
)
