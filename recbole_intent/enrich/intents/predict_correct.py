"""Predict-and-correct loop that accepts intents only if they lead to the held-out item.

This is prompt P3, eq. (4)-(7) and Algorithm 1 of the paper. The model is asked for a session's
intents. They are accepted if the item predicted from them is the session's last one; otherwise the
model gets feedback and is asked again, at most T times.

The paper grows the pool session by session. Here sessions are processed in windows: all sessions of
a window see the pool as of its start, and their intents enter the pool at its end, in order. The
result therefore depends on the window size but not on the order of answers. A window of 1 is the
paper's procedure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from recbole_intent.data.formats.intent_files import SessionIntents
from recbole_intent.data.formats.wording import clean_intent
from recbole_intent.enrich.conversation import Conversation, Manner, add_tokens
from recbole_intent.enrich.intents.answers import (
    Intents,
    Prediction,
    intents_schema,
    prediction_schema,
)
from recbole_intent.enrich.intents.pool import IntentPool
from recbole_intent.enrich.item_features import in_chunks
from recbole_intent.enrich.prompts import prompt
from recbole_intent.llm.answers import MalformedAnswer, parse_answer
from recbole_intent.llm.asking import Asker
from recbole_intent.llm.client import Answer
from recbole_intent.llm.sources import RequestFailed

# Possible results of an attempt.
RIGHT, WRONG, NO_CANDIDATE, MALFORMED, VAGUE = (
    "right item",
    "wrong item",
    "item that is no candidate",
    "malformed answer",
    "right item by too small a margin",
)


@dataclass(frozen=True)
class Task:
    """A session whose intents are wanted, with the texts of its prompt.

    Attributes:
        session: id of the session.
        history: one line per item except the last, oldest first.
        target: id of the last item.
        candidates: item id -> line of the item, including the target, in prompt order.
        titles: one title per candidate.
    """

    session: str
    history: tuple[str, ...]
    target: str
    candidates: dict[str, str]
    titles: tuple[str, ...]


@dataclass
class Outcome:
    """The result of a task.

    Attributes:
        intents: in the model's words; empty if the task did not pass.
        hard_negatives: distinct wrong candidates that were predicted.
        ends: result of each attempt: RIGHT, WRONG …, or the kind of a failed request.
        tokens: (prompt, completion) tokens of all its answers.
    """

    intents: tuple[str, ...] = ()
    hard_negatives: dict[str, None] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)
    tokens: tuple[int, int] = (0, 0)

    @property
    def passed(self) -> bool:
        """Whether its intents were accepted."""
        return bool(self.intents)


@dataclass(frozen=True)
class LoopOptions:
    """Settings of the predict-and-correct loop.

    Attributes:
        manner: sampling settings of each request.
        domain: name of the catalogue in prompts.
        attempts: T, maximum number of attempts per session.
        most: maximum number of intents per session.
        pool_shown: number of pool intents in a prompt.
        window: number of sessions that see the same pool.
        name_candidates: whether the schema allows only the candidates.
        new_intents: whether answers may contain intents that are not in the pool.
        reason: also ask for a reason.
        min_margin: minimum lead of the right item, if a judge is used.
    """

    manner: Manner
    domain: str
    attempts: int
    most: int
    pool_shown: int
    window: int
    name_candidates: bool
    new_intents: bool
    reason: bool
    min_margin: float


class Judge(Protocol):
    """Predicts the items of tasks from intents, independently of the answer with the intents."""

    def predict(
        self, tasks: Sequence[Task], intents: Sequence[Sequence[str]]
    ) -> list[tuple[str, float] | RequestFailed]:
        """For each task, return the best candidate and its lead over the next one in nats."""
        ...


def find_intents(
    tasks: Iterable[Task],
    pool: IntentPool,
    asker: Asker,
    options: LoopOptions,
    judge: Judge | None = None,
    *,
    accepts_all: bool = False,
) -> Iterator[tuple[SessionIntents, Outcome]]:
    """Find the intents of sessions and extend the pool.

    Args:
        tasks: sessions, in order.
        pool: intent pool; updated at the end of each window.
        asker: sends the requests.
        options: settings of the loop.
        judge: predicts items from intents; None: the answer itself names the item.
        accepts_all: accept the first intents without validation (the paper's ablation).

    Yields:
        Each session's entry of the .intent file and its outcome, in the order of `tasks`.
    """
    for window in in_chunks(tasks, options.window):
        shown = pool.shown(options.pool_shown)
        for task, outcome in zip(
            window, _solve(window, shown, asker, options, judge, accepts_all), strict=True
        ):
            # Invalid texts were dropped earlier, so a session that passed keeps some intents.
            line = SessionIntents(
                session=task.session,
                intents=pool.accept(outcome.intents),
                hard_negatives=tuple(outcome.hard_negatives),
                attempts=len(outcome.ends),
                passed=outcome.passed,
            )
            yield line, outcome


def _solve(
    tasks: Sequence[Task],
    pool: Sequence[str],
    asker: Asker,
    options: LoopOptions,
    judge: Judge | None,
    accepts_all: bool,
) -> list[Outcome]:
    names_item = judge is None and not accepts_all
    talks = [_talk(task, pool, options, names_item) for task in tasks]
    outcomes = [Outcome() for _ in tasks]
    open_ones = list(range(len(tasks)))
    for _ in range(options.attempts):
        answers = asker.ask_all([talks[i].request() for i in open_ones])
        read: dict[int, Intents | Prediction] = {}
        for i, answer in zip(open_ones, answers, strict=True):
            kind = Prediction if names_item else Intents
            if (parsed := _read(answer, kind, outcomes[i], talks[i])) is not None:
                read[i] = parsed
        intents = {i: _clean(one.intents, options) for i, one in read.items()}
        predicted: dict[int, tuple[str, float] | RequestFailed]
        if accepts_all:
            predicted = {i: (tasks[i].target, 0.0) for i in read}
        elif judge is None:
            predicted = {
                i: (one.next_item, 0.0) for i, one in read.items() if isinstance(one, Prediction)
            }
        else:
            judged = judge.predict([tasks[i] for i in read], [*intents.values()])
            predicted = dict(zip(read, judged, strict=True))
        for i, answer in zip(open_ones, answers, strict=True):
            if i in read and isinstance(answer, Answer):
                _weigh(
                    tasks[i], intents[i], predicted[i], answer.text, outcomes[i], talks[i], options
                )
        # A request that cannot succeed fails only its own session; the others are corrected.
        endings = (MALFORMED, WRONG, NO_CANDIDATE, VAGUE)
        open_ones = [i for i in open_ones if outcomes[i].ends[-1] in endings]
    return outcomes


def _talk(task: Task, pool: Sequence[str], options: LoopOptions, names_item: bool) -> Conversation:
    values = {
        "domain": options.domain,
        "session": _list(task.history),
        "pool": _list(pool) or "(empty so far)",
    }
    closed = list(pool) if pool and not options.new_intents else None
    if not names_item:
        schema = intents_schema(options.most, closed)
        return Conversation(prompt("infer_intents"), schema, options.manner, **values)
    named = list(task.candidates) if options.name_candidates else None
    schema = prediction_schema(options.most, named, closed, reason=options.reason)
    candidates = _list([f"[{item}] {line}" for item, line in task.candidates.items()])
    return Conversation(
        prompt("predict_and_correct"), schema, options.manner, candidates=candidates, **values
    )


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _read(
    answer: Answer | RequestFailed,
    kind: type[Intents] | type[Prediction],
    outcome: Outcome,
    talk: Conversation,
) -> Intents | Prediction | None:
    """Return the parsed answer; if it is unusable, record this, give feedback and return None."""
    if isinstance(answer, RequestFailed):
        outcome.ends.append(answer.kind)
        return None
    outcome.tokens = add_tokens(outcome.tokens, answer)
    try:
        parsed = parse_answer(answer.text, kind)
        if not any(map(clean_intent, parsed.intents)):
            raise MalformedAnswer("intents: none of them is a short text")
    except MalformedAnswer as problem:
        outcome.ends.append(MALFORMED)
        talk.correct(answer.text, "malformed", problem=problem)
        return None
    return parsed


def _clean(intents: Sequence[str], options: LoopOptions) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(clean_intent, intents))))[: options.most]


def _weigh(
    task: Task,
    intents: tuple[str, ...],
    predicted: tuple[str, float] | RequestFailed,
    answer: str,
    outcome: Outcome,
    talk: Conversation,
    options: LoopOptions,
) -> None:
    """Accept the intents or give feedback."""
    if isinstance(predicted, RequestFailed):
        outcome.ends.append(predicted.kind)
        return
    item, margin = predicted
    quoted = ", ".join(f'"{intent}"' for intent in intents)
    if item == task.target and margin >= options.min_margin:
        outcome.ends.append(RIGHT)
        outcome.intents = intents
    elif item == task.target:
        outcome.ends.append(VAGUE)
        talk.correct(answer, "vague", intents=quoted)
    else:
        is_candidate = item in task.candidates
        outcome.ends.append(WRONG if is_candidate else NO_CANDIDATE)
        if is_candidate:
            outcome.hard_negatives[item] = None
        talk.correct(answer, "wrong_item", item=item, intents=quoted)
