"""PO4ISR: a language model ranks the candidates of sessions, by an optimised prompt."""

from recbole_intent.config.registry import ModelSpec

SPECS = (
    ModelSpec(
        "PO4ISR",
        "recbole_intent.models.po4isr.model:PO4ISR",
        trainer="recbole_intent.models.po4isr.trainer:RankingTrainer",
        keys="recbole_intent.models.po4isr.keys",
        inputs="recbole_intent.models.po4isr.model:input_files",
        trim=True,
        splits=True,
        title="Large Language Models for Intent-Driven Session Recommendations",
        url="https://arxiv.org/abs/2312.07552",
        family="session",
        tasks=("direct",),
        needs="rankings",
    ),
)
