"""CaFe: coarse sequences of categories guide fine sequences of items."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "CaFe",
        "recbole_intent.models.cafe.model:CaFe",
        keys="recbole_intent.models.cafe.keys",
        paper="recbole_intent.models.cafe.paper",
        trim=True,
        splits=True,
        title="Coarse-to-Fine Sparse Sequential Recommendation",
        url="https://arxiv.org/abs/2204.01839",
        family="sequential",
        needs="categories",
        fast="shared passes",
    ),
)
