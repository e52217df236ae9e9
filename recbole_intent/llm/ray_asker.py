"""Asker that distributes the requests of a step over the workers of a Ray Data cluster.

The cache stays in this process: workers get only the missing requests, and their answers are
stored here as they stream back. The files are therefore the same as without Ray.
"""

import asyncio
import logging
import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recbole_intent.llm.asking import LocalAsker
from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.client import Answer, ChatRequest
from recbole_intent.llm.progress import Progress
from recbole_intent.llm.sources import Completion, RequestFailed, Source, request_key
from recbole_intent.utils.errors import UserError

_SHARE = 0.1  # of a core: a worker mostly waits for answers
_BATCHES = 4  # a unit of work has this many times a worker's concurrency


class RayAsker:
    """Sends requests through Ray Data actors.

    Args:
        source: provides the keys; closed together with this asker.
        make_source: makes the same source in every worker.
        cache: stays open.
        concurrency: maximum number of requests in flight per worker.
        workers: number of workers.

    Raises:
        UserError: Ray Data is not installed.
    """

    at_once = 4096  # large, because Ray starts new workers for each call

    def __init__(
        self,
        source: Source,
        make_source: Callable[[], Source],
        cache: AnswerCache,
        concurrency: int,
        workers: int,
    ) -> None:
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise UserError(f"runner: ray needs {error.name}: pip install 'ray[data]'") from error
        self._source, self._make_source, self._cache = source, make_source, cache
        self._concurrency, self._workers = concurrency, workers
        self.progress = Progress()
        self._began = not ray.is_initialized()
        if self._began:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = False

    def ask_all(self, requests: Sequence[ChatRequest]) -> list[Answer | RequestFailed]:
        """As `asking.Asker`."""
        keys = [request_key(self._source, request) for request in requests]
        answers: dict[str, Answer | RequestFailed] = {}
        missing: dict[str, ChatRequest] = {}
        for key, request in zip(keys, requests, strict=True):
            if stored := self._cache.get(key):
                self.progress.cached += 1
                tokens = stored.prompt_tokens, stored.completion_tokens
                answers[key] = Answer(stored.text, *tokens, cached=True)
            else:
                missing[key] = request
        if missing:
            self._ask(missing, answers)
        return [answers[key] for key in keys]

    def _ask(
        self, missing: dict[str, ChatRequest], answers: dict[str, Answer | RequestFailed]
    ) -> None:
        import ray.data

        rows = [{"key": k, "request": pickle.dumps(request)} for k, request in missing.items()]
        size = max(1, min(self._concurrency * _BATCHES, -(-len(rows) // self._workers)))
        answered = ray.data.from_items(rows).map_batches(
            _Worker,
            fn_constructor_args=(self._make_source, self._concurrency),
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=self._workers),
            num_cpus=_SHARE,
        )
        for row in answered.iter_rows():
            self._take(row, missing[row["key"]], answers)

    def _take(
        self, row: dict[str, Any], request: ChatRequest, answers: dict[str, Answer | RequestFailed]
    ) -> None:
        if row["stop"]:
            raise UserError(row["stop"])
        if row["reason"]:
            self.progress.failed += 1
            self.progress.reasons[row["kind"]] += 1
            answers[row["key"]] = RequestFailed(row["reason"], row["kind"])
            return
        tokens = int(row["prompt_tokens"]), int(row["completion_tokens"])
        self._cache.store_all([(row["key"], Completion(row["text"], *tokens), request.tag)])
        self.progress.asked += 1
        self.progress.prompt_tokens += tokens[0]
        self.progress.completion_tokens += tokens[1]
        answers[row["key"]] = Answer(row["text"], *tokens, cached=False)

    def close(self) -> None:
        """As `asking.Asker`; a Ray instance started elsewhere keeps running."""
        import ray

        asyncio.run(self._source.close())
        if self._began:
            ray.shutdown()


class _Worker:
    """Ray actor with its own small temporary cache.

    Args:
        make_source, concurrency: as in `RayAsker`.
    """

    def __init__(self, make_source: Callable[[], Source], concurrency: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        cache = AnswerCache(Path(self._folder.name) / "answers.sqlite")
        self._asker = LocalAsker(make_source(), cache, concurrency)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        requests = [pickle.loads(request) for request in batch["request"]]
        rows: dict[str, list[Any]] = {"key": list(batch["key"])}
        try:
            answers: list[Any] = self._asker.ask_all(requests)
            stop = ""
        except UserError as error:
            answers, stop = [RequestFailed(str(error))] * len(requests), str(error)
        is_failed = [isinstance(answer, RequestFailed) for answer in answers]
        pairs = list(zip(answers, is_failed, strict=True))
        rows["stop"] = [stop] * len(answers)
        rows["reason"] = [a.reason if failed else "" for a, failed in pairs]
        rows["kind"] = [a.kind if failed else "" for a, failed in pairs]
        rows["text"] = ["" if failed else a.text for a, failed in pairs]
        for name in ("prompt_tokens", "completion_tokens"):
            rows[name] = [0] * len(answers)
        for i, (answer, failed) in enumerate(pairs):
            if not failed:
                rows["prompt_tokens"][i] = answer.prompt_tokens
                rows["completion_tokens"][i] = answer.completion_tokens
        return rows
