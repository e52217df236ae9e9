"""BERT4Rec that scores with the whole history."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "BERT4Rec",
        "recbole_intent.models.bert4rec.model:BERT4Rec",
        keys="recbole_intent.config.recbole_keys",
        trim=True,
        reference="recbole.model.sequential_recommender.bert4rec:BERT4Rec",
        corrected=True,
        title="BERT4Rec: Sequential Recommendation with Bidirectional Encoder "
        "Representations from Transformer",
        url="https://arxiv.org/abs/1904.06690",
        family="sequential",
    ),
)
