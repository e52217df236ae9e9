"""Export and import of files for OpenAI's batch service, for hundreds of thousands of requests.

Missing requests of a step are written as JSON lines with their cache key as `custom_id`; results
are imported into the cache by this key. Each step depends on the previous one, so exports and
imports alternate: pool and item features, then the attempts of a window. If one window covers the
dataset, this takes two rounds plus one per attempt.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO, runtime_checkable

from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.client import Answer, ChatRequest
from recbole_intent.llm.progress import Progress
from recbole_intent.llm.replies import (
    NoCompletion,
    completion_of,
    one_line,
    read_json,
    words_of,
)
from recbole_intent.llm.sources import Completion, RequestFailed, Source, request_key
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write

# Limits of the service for one file, with a margin.
MAX_REQUESTS = 50_000
MAX_BYTES = 190_000_000

_PATH = "/v1/chat/completions"
_KEY = re.compile(r"[0-9a-f]{64}")
_AT_ONCE = 1000  # answers per transaction
_LONGEST_LINE = 4_000_000  # bytes: twice the longest reply of an endpoint
_MOST_TOLD = 20  # lines without an answer that are reported individually
_LOGGER = logging.getLogger("recbole_intent")


class BatchPending(Exception):
    """The work cannot continue until the exported requests are answered."""


@runtime_checkable
class BodySource(Source, Protocol):
    """A source that can build the HTTP body of a request."""

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """The JSON body of a chat completion request."""
        ...


class BatchExporter:
    """Asker that answers from the cache only and writes all missing requests to a file.

    Args:
        source: provides keys and bodies; never called for answers.
        cache: stays open.
        path: path of the batch file.
    """

    at_once = sys.maxsize  # one export holds all requests that can be made now

    def __init__(self, source: BodySource, cache: AnswerCache, path: Path) -> None:
        self._source, self._cache, self._path = source, cache, path
        self.progress = Progress()

    def ask_all(self, requests: Sequence[ChatRequest]) -> list[Answer | RequestFailed]:
        """As `asking.Asker`.

        Raises:
            BatchPending: answers are missing; their requests were written.
        """
        answers: list[Answer | RequestFailed] = []
        missing: dict[str, ChatRequest] = {}
        for request in requests:
            key = request_key(self._source, request)
            stored = self._cache.get(key)
            if stored is None:
                missing[key] = request
            else:
                self.progress.cached += 1
                tokens = stored.prompt_tokens, stored.completion_tokens
                answers.append(Answer(stored.text, *tokens, cached=True))
        if missing:
            written = write_batch(missing, self._source, self._path)
            raise BatchPending(
                f"{len(missing):,} requests: {', '.join(map(str, written))}. Have them answered, "
                "then give the results by --import_batch=FILE; --export_batch=FILE beside it "
                "writes the next ones"
            )
        return answers

    def close(self) -> None:
        """Do nothing: no resources are open."""


def write_batch(
    requests: Mapping[str, ChatRequest],
    source: BodySource,
    path: Path,
    *,
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
) -> list[Path]:
    """Write requests as batch files within the limits of the service, all files or none.

    Args:
        requests: key -> request.
        path: path of the first file, such as `batch.jsonl`; the next are `batch.2.jsonl` …

    Returns:
        The paths of the files.

    Raises:
        UserError: a file cannot be written.
    """
    written: list[Path] = []
    with ExitStack() as files:
        file, count, size = None, 0, 0
        for key, request in requests.items():
            body = source.body(request)
            record = {"custom_id": key, "method": "POST", "url": _PATH, "body": body}
            line = json.dumps(record) + "\n"  # ASCII, so that characters are bytes
            if file is None or count == max_requests or size + len(line) > max_bytes:
                number = len(written) + 1
                name = path if file is None else path.with_stem(f"{path.stem}.{number}")
                file, count, size = _open(files, name), 0, 0
                written.append(name)
            file.write(line)
            count, size = count + 1, size + len(line)
    return written


def _open(files: ExitStack, path: Path) -> TextIO:
    return files.enter_context(open(files.enter_context(atomic_write(path)), "w"))


def import_batch(path: Path, cache: AnswerCache) -> tuple[int, int]:
    """Import batch results into the cache; lines without an answer are reported by number.

    Args:
        path: JSON lines from the batch service: a result or an error file.
        cache: cache of answers.

    Returns:
        The number of imported answers and the number of lines without one (these requests are sent
        again).

    Raises:
        UserError: the file cannot be read or the cache cannot be written.
    """
    problems: list[tuple[int, str]] = []
    answers, taken = _answers(path, problems), 0
    while some := list(islice(answers, _AT_ONCE)):
        cache.store_all((key, completion, "batch") for key, completion in some)
        taken += len(some)
    for number, problem in problems[:_MOST_TOLD]:
        _LOGGER.warning("%s:%d: %s", path, number, problem)
    if len(problems) > _MOST_TOLD:
        _LOGGER.warning("%s: … and %d more such lines", path, len(problems) - _MOST_TOLD)
    return taken, len(problems)


def _answers(path: Path, problems: list[tuple[int, str]]) -> Iterator[tuple[str, Completion]]:
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(_lines(file), start=1):
                if not line.strip():
                    continue
                try:
                    yield _answer(line)
                except NoCompletion as problem:
                    problems.append((number, str(problem)))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Iterate over the lines, each cut to one byte more than the longest valid answer."""
    while line := file.readline(_LONGEST_LINE + 1):
        rest = line
        while len(rest) > _LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST_LINE + 1)
        yield line


def _answer(line: bytes) -> tuple[str, Completion]:
    if len(line) > _LONGEST_LINE:
        raise NoCompletion(f"is longer than {_LONGEST_LINE:,} bytes")
    try:
        record = read_json(line)
    except NoCompletion:
        raise NoCompletion("is not JSON (cut off?)") from None
    match record:
        case {"custom_id": str(key)} if _KEY.fullmatch(key):
            pass
        case {"custom_id": key}:
            shown = one_line(words_of(key))[:80]
            raise NoCompletion(f"custom_id {shown!r} is none that enrich exported")
        case _:
            raise NoCompletion("has no custom_id")
    match record:
        case {"error": error} if error:
            raise NoCompletion(f"the service reports: {one_line(words_of(error))}")
        case {"response": {"status_code": 200, "body": dict(body)}}:
            return key, completion_of(body)
        case {"response": {"status_code": int(status), "body": {"error": error}}}:
            raise NoCompletion(f"HTTP {status}: {one_line(words_of(error))}")
    raise NoCompletion("has no response with a body")
