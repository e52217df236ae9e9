"""The prompt encoder: T5 with soft prompts and whole-word vectors of users and items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_intent.models.generative.one_token import first_logits
from recbole_intent.models.generative.prompts import (
    NEW_USER,
    TEMPLATES,
    USER,
    Prompts,
    PromptWriter,
    literal_words,
)
from recbole_intent.models.generative.t5 import make_t5
from recbole_intent.models.generative.tasks import SEQUENTIAL

# Prompt tokens encoded at once if no gradient needs them all: limited by the caches.
_AT_ONCE = 2**15


@dataclass(frozen=True)
class Style:
    """What a model's prompts look like.

    Attributes:
        alpha: α by task, the weight of whole words.
        n_soft_prompts: learned vectors in front of a prompt.
        templates: by task; the first is used in validation, test and recommendation.
        new_user: the form without a user, which new histories have.
        further: words besides those of the templates.
        names_users: sequential prompts name their user.
        numbers_users: a user's tokens identify them.
        varies: training draws a template per batch; False: the first, and `new_user`.
        n_places: whole words by place: how many there are; ids at later places share the last.
            0: the rows of E are the whole words of both tasks.
        by_place: the sequential task numbers ids by place, whatever E is.
        counts_words: places count all words of a prompt (P5), not only users and items.
        place_sigma: σ of the initial vectors of places.
        decoder_words: the decoder uses rows of E, if each item is one token.
    """

    alpha: Mapping[str, float]
    n_soft_prompts: int
    templates: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: TEMPLATES)
    new_user: str = NEW_USER
    further: tuple[str, ...] = ()
    names_users: bool = True
    numbers_users: bool = True
    varies: bool = True
    n_places: int = 0
    by_place: bool = True
    counts_words: bool = False
    place_sigma: float = 1.0
    decoder_words: bool = False

    @property
    def words(self) -> list[str]:
        """The words of all prompts, but for users and items."""
        return sorted({*literal_words(self.templates), *self.further})


@dataclass(frozen=True)
class Reading:
    """Output of T5's encoder.

    Attributes:
        task: sequential or direct.
        hidden: (B, P + S, d), its outputs.
        mask: (B, P + S) bool, False at padding.
        user: (B,), users named in the prompts; None if they name no users.
        E: (U + V, d), whose rows are the whole words; None if ids are numbered by position.
    """

    task: str
    hidden: Tensor
    mask: Tensor
    user: Tensor | None
    E: Tensor | None

    @property
    def encoded(self) -> tuple[Tensor, Tensor]:
        """The encoder outputs and mask that a decoder attends to."""
        return self.hidden, self.mask


class PromptReader(nn.Module):
    """T5 with soft prompts and whole words.

    Args:
        config: `tasks`, and what `make_t5` reads.
        n_users: U, padding included.
        item_ids: (V,) ids of items, "" for padding.
        style: of the prompts.

    Raises:
        UserError: as `make_t5` and `PromptWriter`.

    Source: ISRF, equations (1) and (5).
    """

    def __init__(self, config: Any, n_users: int, item_ids: Sequence[str], style: Style) -> None:
        super().__init__()
        self.n_users, self.style = n_users, style
        words = style.words
        self.t5, tokenizer = make_t5(config, item_ids, words)
        self.writer = PromptWriter(
            tokenizer, n_users, item_ids, style.numbers_users, words, style.counts_words
        )
        self.decoder_words = style.decoder_words and self.writer.one_token
        self.alpha, self.names_users, self.by_place = style.alpha, style.names_users, style.by_place
        d = self.t5.config.d_model
        self.other_word = nn.Parameter(torch.zeros(d))  # w_0
        if style.n_places:
            self.places = nn.Parameter(style.place_sigma * torch.randn(style.n_places, d))
        self.soft_prompts = nn.ParameterDict(
            {
                task: nn.Parameter(0.1 * torch.randn(style.n_soft_prompts, d))
                for task in config["tasks"]
            }
        )

    def read(self, task: str, user: Tensor | None, items: Tensor, E: Tensor | None) -> Reading:
        """Encode the prompts of a task.

        Args:
            task: sequential or direct.
            user: (B,); None for new histories, which are sequential. Ignored in the sequential
                task if `sequential_user` says so.
            items: (B, n), a history or candidates; 0 is skipped.
            E: (U + V, d), or None if ids are numbered by position.

        Raises:
            ValueError: candidates without a user.
        """
        if user is None and task != SEQUENTIAL:
            raise ValueError(f"a prompt of the {task} task names a user")
        if task == SEQUENTIAL and not self.names_users:
            user = None
        template = self.style.new_user if user is None else self._template(task)
        prompts = self.writer.write(template, user, items)
        if USER not in template.split():
            user = None
        return Reading(task, *self.encode(task, prompts, E), user, E)

    def _template(self, task: str) -> str:
        forms = self.style.templates[task]
        if not self.training:
            return forms[0]
        if not self.style.varies:
            # Some prompts without a user, as for new histories.
            new = self.style.new_user
            forms = (*[forms[0]] * 3, new) if task == SEQUENTIAL else forms[:1]
        return forms[int(torch.randint(len(forms), ()))]

    def encode(self, task: str, prompts: Prompts, E: Tensor | None) -> tuple[Tensor, Tensor]:
        """The encoder's outputs (B, P + S, d) and their mask; the P soft prompts come first."""
        alpha, soft = self.alpha[task], self.soft_prompts[task]
        x = self.t5.get_input_embeddings()(prompts.tokens)
        x = x + alpha * self.whole_words(prompts, E)  # (1)
        soft = (soft + alpha * self.other_word).expand(len(x), -1, -1)
        mask = F.pad(prompts.mask, (soft.size(1), 0), value=True)
        x = torch.cat([soft, x], dim=1)
        rows = len(x) if torch.is_grad_enabled() else max(1, _AT_ONCE // x.size(1))
        encoder = self.t5.get_encoder()
        parts = zip(x.split(rows), mask.split(rows), strict=True)
        hidden = [encoder(inputs_embeds=part, attention_mask=seen)[0] for part, seen in parts]
        return torch.cat(hidden) if len(hidden) > 1 else hidden[0], mask

    def whole_words(self, prompts: Prompts, E: Tensor | None) -> Tensor:
        """w(j) (B, S, d) of every token; E is not used if ids are numbered by position."""
        named = self.places if E is None else E
        index = prompts.node + 1 if E is not None else prompts.place.clamp_max(len(named))
        return F.embedding(index, torch.cat([self.other_word[None], named]))

    def mean_word(self, items: Tensor, E: Tensor | None) -> Tensor:
        """p_u (B, d), the mean of the whole words of histories (B, n)."""
        is_item = (items > 0).unsqueeze(2)
        if E is None:  # the user comes first in the prompt, followed by its items
            words = self.places[1 : items.size(1) + 1]
        else:
            words = F.embedding(items + self.n_users, E)
        return (words * is_item).sum(dim=1) / is_item.sum(dim=1).clamp_min(1)

    def first_logits(self, read: Reading) -> Tensor:
        """Logits (B, N) of T5's first output token."""
        start = named = None
        if self.decoder_words and read.E is not None:
            alpha = self.alpha[read.task]
            start = alpha * (self.other_word if read.user is None else read.E[read.user])
            named = self.writer.targets[1:, 0], alpha * read.E[self.n_users + 1 :]
        return first_logits(self.t5, *read.encoded, start, named)
