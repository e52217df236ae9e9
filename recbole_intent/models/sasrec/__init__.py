"""SASRec on shared passes, with the item table of a distiller as an option."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "SASRec",
        "recbole_intent.models.sasrec.model:SASRec",
        trainer="recbole_intent.models.distilled.trainer:DistilledTrainer",
        keys="recbole_intent.models.sasrec.keys",
        inputs="recbole_intent.models.distilled.start:input_files",
        trim=True,
        splits=True,
        reference="recbole.model.sequential_recommender.sasrec:SASRec",
        title="Self-Attentive Sequential Recommendation",
        url="https://arxiv.org/abs/1808.09781",
        family="sequential",
        fast="shared passes",
    ),
)
