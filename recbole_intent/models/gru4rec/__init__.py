"""GRU4Rec on shared passes, with the item table of a distiller as an option."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "GRU4Rec",
        "recbole_intent.models.gru4rec.model:GRU4Rec",
        trainer="recbole_intent.models.distilled.trainer:DistilledTrainer",
        keys="recbole_intent.models.distilled.keys",
        inputs="recbole_intent.models.distilled.start:input_files",
        trim=True,
        splits=True,
        reference="recbole.model.sequential_recommender.gru4rec:GRU4Rec",
        title="Improved Recurrent Neural Networks for Session-based Recommendations",
        url="https://arxiv.org/abs/1606.08117",
        family="sequential",
        fast="shared passes",
    ),
)
