"""MiaSRec: several intents of a session, one around each of its important items."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "MiaSRec",
        "recbole_intent.models.miasrec.model:MiaSRec",
        keys="recbole_intent.models.miasrec.keys",
        trim=True,
        splits=True,
        title="Multi-intent-aware Session-based Recommendation",
        url="https://arxiv.org/abs/2405.00986",
        family="session",
    ),
)
