"""P5, POD, ELMRec and RSL: T5 models that write the next item."""

from recbole_intent.config.registry import ModelSpec

_TRAINER = "recbole_intent.models.generative.trainer:GenerativeTrainer"
_INPUTS = "recbole_intent.models.generative.t5:t5_files"

SPECS = (
    ModelSpec(
        "P5",
        "recbole_intent.models.p5.model:P5",
        trainer=_TRAINER,
        keys="recbole_intent.models.p5.keys",
        inputs=_INPUTS,
        trim=True,
        title="Recommendation as Language Processing (RLP): A Unified Pretrain, Personalized "
        "Prompt & Predict Paradigm (P5)",
        url="https://arxiv.org/abs/2203.13366",
        family="generative",
        needs="extra t5",
    ),
    ModelSpec(
        "POD",
        "recbole_intent.models.p5.model:POD",
        trainer=_TRAINER,
        keys="recbole_intent.models.p5.pod_keys",
        inputs=_INPUTS,
        trim=True,
        title="Prompt Distillation for Efficient LLM-based Recommendation",
        url="https://doi.org/10.1145/3583780.3615017",
        family="generative",
        needs="extra t5",
    ),
    ModelSpec(
        "ELMRec",
        "recbole_intent.models.p5.model:ELMRec",
        trainer=_TRAINER,
        keys="recbole_intent.models.p5.elmrec_keys",
        inputs=_INPUTS,
        trim=True,
        title="Enhancing High-order Interaction Awareness in LLM-based Recommender Model",
        url="https://arxiv.org/abs/2409.19979",
        family="generative",
        needs="extras t5, graph",
    ),
    ModelSpec(
        "RSL",
        "recbole_intent.models.p5.model:RSL",
        trainer=_TRAINER,
        keys="recbole_intent.models.p5.rsl_keys",
        inputs=_INPUTS,
        trim=True,
        title="Leveraging Large Language Models for Pre-trained Recommender Systems",
        url="https://arxiv.org/abs/2308.10837",
        family="generative",
        needs="extra t5",
    ),
)
