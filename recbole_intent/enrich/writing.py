"""Writing an answer with a model in this process, so that it fits its JSON schema by construction.

The frame of the JSON is given; the model fills the strings in and says when a list ends. A string
that may have few values alone is chosen by likelihood. So the smallest model answers in form.
"""

import copy
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import log_softmax, pad

_LONGEST_ENTRY = 24  # tokens of a text in a list
_CIRCLE = 8  # tokens that come again in a text are where a small model goes round in circles
_AT_ONCE = 8  # texts scored side by side: each needs a copy of what the prompt left in memory


class Writer:
    """A text that a causal language model goes on with.

    Args:
        model: of transformers, in evaluation mode.
        tokenizer: its own.
        prompt: (n,) token ids, n >= 1.
        temperature: 0 takes the likeliest token.
        seed: of sampling at a temperature above 0.
        max_tokens: that it writes by itself, at most.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        prompt: Sequence[int],
        *,
        temperature: float = 0.0,
        seed: int = 0,
        max_tokens: int = 512,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._temperature = temperature
        self._random = torch.Generator().manual_seed(seed)
        self._max_tokens = max_tokens
        self._past = None
        self._logits = torch.empty(0)  # (V,) of the next token
        self.written = 0  # tokens, by the model
        self._feed(prompt)

    def _feed(self, ids: Sequence[int]) -> None:
        with torch.inference_mode():
            out = self._model(
                torch.tensor([list(ids)]),
                past_key_values=self._past,
                use_cache=True,
                logits_to_keep=1,
            )
        self._past = out.past_key_values
        self._logits = out.logits[0, -1].float()

    def _feed_text(self, text: str) -> str:
        self._feed(self._ids(text))
        return text

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _next(self) -> int:
        if self._temperature == 0:
            return int(self._logits.argmax())
        weights = (self._logits / self._temperature).softmax(-1)
        return int(torch.multinomial(weights, 1, generator=self._random))

    @property
    def is_full(self) -> bool:
        """It has written as much as it may."""
        return self.written >= self._max_tokens

    def text(self) -> str:
        """Plain text, to the end of the turn."""
        ids: list[int] = []
        while not self.is_full:
            token = self._next()
            self.written += 1
            if token == self._tokenizer.eos_token_id:
                break
            ids.append(token)
            self._feed([token])
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def json(self, schema: dict[str, Any]) -> str:
        """A value of a schema: objects, lists of strings, strings; either may have an enum.

        Raises:
            ValueError: another kind of schema.
        """
        kind = schema.get("type")
        if kind == "object":
            text = ""
            for name in schema["required"]:
                text += self._feed_text(f"{', ' if text else '{'}{json.dumps(name)}: ")
                text += self.json(schema["properties"][name])
            return text + self._feed_text("}")
        if kind == "array" and schema["items"].get("type") == "string":
            return self._list(schema["items"], schema.get("minItems", 0), schema.get("maxItems", 8))
        if kind == "string":
            return self._string(schema, self._max_tokens)
        raise ValueError(f"a schema of type {kind!r} cannot be written")

    def _list(self, schema: dict[str, Any], least: int, most: int) -> str:
        items: list[str] = []
        left = schema.get("enum")
        most = min(most, len(left)) if left else most
        while len(items) < most and (len(items) < least or not self.is_full):
            self._feed_text(", " if items else "[")
            item = self._string({"enum": left} if left else {}, _LONGEST_ENTRY)
            left = [option for option in left if json.dumps(option) != item] if left else None
            if item in items:  # small models go round in circles
                break
            items.append(item)
            if len(items) >= least and self._prefers("]", ","):
                break
        self._feed_text("]")
        return f"[{', '.join(items)}]"

    def _prefers(self, one: str, other: str) -> bool:
        return bool(self._logits[self._ids(one)[0]] > self._logits[self._ids(other)[0]])

    def _string(self, schema: dict[str, Any], longest: int) -> str:
        self._feed_text('"')
        if options := schema.get("enum"):
            texts = [f'{json.dumps(option)[1:-1]}"' for option in options]
            scores = self.scores(texts)
            best = max(range(len(options)), key=scores.__getitem__)
            chosen = json.dumps(options[best])
            self._feed_text(chosen[1:])
            return chosen
        text, written, seen = "", [], set()
        for _ in range(longest):
            token = self._next()
            piece = self._tokenizer.decode([token])
            if '"' in piece or "\n" in piece or token == self._tokenizer.eos_token_id:
                text += piece.split('"')[0].split("\n")[0] if "<|" not in piece else ""
                break
            self.written += 1
            text += piece
            self._feed([token])
            written.append(token)
            last = tuple(written[-_CIRCLE:])
            if self.is_full or last in seen:
                break
            if len(last) == _CIRCLE:
                seen.add(last)
        self._feed_text('"')
        return json.dumps(text.replace("\ufffd", "").strip(" \\"), ensure_ascii=False)

    def scores(self, texts: Sequence[str]) -> list[float]:
        """Log-likelihood of each text as what comes next, in nats; nothing is written."""
        found: list[float] = []
        for start in range(0, len(texts), _AT_ONCE):
            found += self._scores([self._ids(t) for t in texts[start : start + _AT_ONCE]])
        return found

    def _scores(self, ids: list[list[int]]) -> list[float]:
        width = max(map(len, ids))
        batch = torch.stack([pad(torch.tensor(row), (0, width - len(row))) for row in ids])
        past = copy.deepcopy(self._past)
        past.batch_repeat_interleave(len(ids))
        # Padding stands at the end, where no token of a text looks back at it.
        with torch.inference_mode():
            logits = self._model(batch, past_key_values=past, use_cache=True).logits.float()
        first = self._logits.expand(len(ids), 1, -1)
        steps = log_softmax(torch.cat([first, logits[:, :-1]], 1), -1)  # (N, width, V)
        each = steps.gather(2, batch.unsqueeze(2)).squeeze(2)
        return [float(each[i, : len(row)].sum()) for i, row in enumerate(ids)]
