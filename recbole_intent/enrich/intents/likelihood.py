"""Likelihood judge (`validate: likelihood`, ours): predicts the item that the intents favour.

A candidate's score is log p(title | intents) - log p(title | nothing known), in nats. This is the
information that the intents give about it, independent of how common its title is. For small
models this judge is far better than the answers that they write.
"""

import json
import math
from collections.abc import Sequence

from recbole_intent.enrich.intents.predict_correct import Task
from recbole_intent.enrich.prompts import Prompt, prompt
from recbole_intent.llm.asking import Asker
from recbole_intent.llm.client import ChatRequest
from recbole_intent.llm.schemas import scores_schema
from recbole_intent.llm.sources import RequestFailed


class LikelihoodJudge:
    """Predicts items by their likelihood given the intents.

    Args:
        asker: asker of a scoring source (`EmbeddedScorer`).
        domain: name of the catalogue in prompts.
    """

    def __init__(self, asker: Asker, domain: str) -> None:
        self._asker = asker
        self._domain = domain

    def predict(
        self, tasks: Sequence[Task], intents: Sequence[Sequence[str]]
    ) -> list[tuple[str, float] | RequestFailed]:
        """As `predict_correct.Judge`."""
        requests = []
        for task, task_intents in zip(tasks, intents, strict=True):
            requests.append(
                self._request(prompt("score_item"), task, intents="; ".join(task_intents))
            )
            requests.append(self._request(prompt("score_item_blind"), task))
        answers = self._asker.ask_all(requests)
        predicted: list[tuple[str, float] | RequestFailed] = []
        for task, informed, blind in zip(tasks, answers[::2], answers[1::2], strict=True):
            if isinstance(informed, RequestFailed):
                predicted.append(informed)
            elif isinstance(blind, RequestFailed):
                predicted.append(blind)
            else:
                pairs = zip(json.loads(informed.text), json.loads(blind.text), strict=True)
                predicted.append(best(list(task.candidates), [a - b for a, b in pairs]))
        return predicted

    def _request(self, asked: Prompt, task: Task, **values: str) -> ChatRequest:
        messages = asked.messages(domain=self._domain, **values)
        return ChatRequest(messages, scores_schema(task.titles), max_tokens=1, tag=asked.tag)


def best(names: Sequence[str], scores: Sequence[float]) -> tuple[str, float]:
    """The name with the highest score (ties: the first) and its lead over the next."""
    ranked = sorted(range(len(names)), key=lambda i: -scores[i])
    lead = scores[ranked[0]] - scores[ranked[1]] if len(names) > 1 else math.inf
    return names[ranked[0]], lead
