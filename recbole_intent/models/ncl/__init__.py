"""NCL with its E-step in a trainer that resumes."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "NCL",
        "recbole_intent.models.ncl.model:NCL",
        trainer="recbole_intent.models.ncl.trainer:NCLTrainer",
        keys="recbole_intent.config.recbole_keys",
        reference="recbole.model.general_recommender.ncl:NCL",
        title="Improving Graph Collaborative Filtering with Neighborhood-enriched "
        "Contrastive Learning",
        url="https://arxiv.org/abs/2202.06200",
        family="general",
        needs="extra ann",
    ),
)
