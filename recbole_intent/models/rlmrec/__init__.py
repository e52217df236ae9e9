"""RLMRec: LightGCN, or an encoder of sessions, aligned with texts about users and items."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "RLMRec",
        "recbole_intent.models.rlmrec.model:RLMRec",
        keys="recbole_intent.models.rlmrec.keys",
        inputs="recbole_intent.models.rlmrec.texts:input_files",
        title="Representation Learning with Large Language Models for Recommendation",
        url="https://arxiv.org/abs/2310.15950",
        family="general",
        needs="text vectors; extra graph",
        fast="sparse graph",
    ),
    ModelSpec(
        "RLMRecSeq",
        "recbole_intent.models.rlmrec.session:RLMRecSeq",
        keys="recbole_intent.models.rlmrec.session_keys",
        inputs="recbole_intent.models.rlmrec.texts:input_files",
        trim=True,
        title="Representation Learning with Large Language Models for Recommendation",
        url="https://arxiv.org/abs/2310.15950",
        family="session",
        needs="text vectors",
        fast="shared passes",
    ),
)
