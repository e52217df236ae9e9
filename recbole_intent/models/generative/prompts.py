"""Prompts of users and items as token ids, assembled by indexing.

The tokens of every word, user and item are computed once. Batches are then assembled by indexing,
and their rows equal the tokenizer's output for the same strings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recbole_intent.utils.errors import UserError

USER, ITEMS = "{user}", "{items}"
MASK = "<extra_id_0>"  # a word in place of an entity; pretrained T5 know it

# New histories have no user, and are always sequential.
NEW_USER = ITEMS
# By task; the first is used in validation, test and recommendation: ISRF's bare form.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "sequential": (
        "{user} {items}",
        "{user} bought {items} and buys next",
        "what will {user} buy after {items} ?",
        "predict the next item of {user} : {items}",
        NEW_USER,
    ),
    "direct": (
        "{user} {items}",
        "which of {items} will {user} like ?",
        "choose an item for {user} : {items}",
        "{user} picks one of {items}",
    ),
}


def user_word(user: int, by_number: bool = True) -> str:
    """The word for user number `user`; `user_` if only the whole word identifies the user."""
    return f"user_{user}" if by_number else "user_"


def item_word(item_id: str) -> str:
    """The word for an item with this id (see `item_ids`)."""
    return f"item_{item_id}"


def literal_words(templates: Mapping[str, Sequence[str]] = TEMPLATES) -> list[str]:
    """All words of the templates, sorted."""
    every = {word for forms in templates.values() for form in forms for word in form.split()}
    return sorted(every - {USER, ITEMS})


@dataclass(frozen=True)
class Prompts:
    """A batch of right-padded prompts.

    Attributes:
        tokens: (B, S) int64.
        mask: (B, S) bool, False at padding.
        node: (B, S) int64: u for tokens of user u, U + v for item v, -1 for other words.
        place: (B, S) int64: 1, 2 … for the row's users and items in order, 0 for other words; with
            `counts_words`, for all words in order, 0 for the end.
    """

    tokens: Tensor
    mask: Tensor
    node: Tensor
    place: Tensor


class PromptWriter(nn.Module):
    """Writes prompts of users and items.

    Args:
        tokenizer: a transformers tokenizer with a padding and an end token.
        n_users: U, padding included.
        item_ids: (V,) ids of items; padding's is not used.
        number_users: False: all users are the same word, `user_`.
        words: the words of templates.
        counts_words: places count all words, not only users and items.

    Raises:
        UserError: the tokenizer lacks a token for part of a word, or encodes two items equally.
    """

    targets: Tensor
    _count: Tensor
    _first: Tensor
    _token: Tensor

    def __init__(
        self,
        tokenizer: Any,
        n_users: int,
        item_ids: Sequence[str],
        number_users: bool = True,
        words: Sequence[str] | None = None,
        counts_words: bool = False,
    ) -> None:
        super().__init__()
        self.item_ids, self.n_users = list(item_ids), n_users
        self.number_users, self.counts_words = number_users, counts_words
        literals = literal_words() if words is None else list(words)
        items = [item_word(name) for name in self.item_ids[1:]]
        all_words = [*literals, *(self._name(u) for u in range(n_users)), *items]
        of_word: list[list[int]] = tokenizer(all_words, add_special_tokens=False)["input_ids"]
        unknown = tokenizer.unk_token_id
        for word, tokens in zip(all_words, of_word, strict=True):
            if not tokens or unknown in tokens:
                raise UserError(
                    f"t5: its tokenizer does not know the word {word!r}; give another T5, or "
                    "--t5=scratch"
                )
        eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
        # Word 0 is empty, 1 ends a prompt; literals, users and items follow.
        self._number = {word: n for n, word in enumerate(literals, start=2)}
        self._user = 2 + len(literals)
        self._item = self._user + n_users - 1  # item v is word _item + v; the first item is 1
        tokens_of = [[], [eos], *of_word]
        count = torch.tensor([len(tokens) for tokens in tokens_of])
        self.pad, self.eos = pad, eos
        self.register_buffer("_count", count, persistent=False)
        self.register_buffer("_first", count.cumsum(0) - count, persistent=False)
        flat = torch.tensor([token for tokens in tokens_of for token in tokens])
        self.register_buffer("_token", flat, persistent=False)
        targets = self._targets(of_word[-len(items) :], eos)
        self.register_buffer("targets", targets, persistent=False)

    def _targets(self, of_item: list[list[int]], eos: int) -> Tensor:
        """(V, T): T5's output tokens for each item; padding's row is empty."""
        if len({tuple(tokens) for tokens in of_item}) < len(of_item):
            raise UserError(
                "t5: its tokenizer writes two items alike; give --id_tokens=item, another T5, or "
                "--t5=scratch"
            )
        if max(map(len, of_item)) > 1:  # single-token items need no end token
            of_item = [[*tokens, eos] for tokens in of_item]
        table = torch.full((len(of_item) + 1, max(map(len, of_item))), self.pad)
        for item, tokens in enumerate(of_item, start=1):
            table[item, : len(tokens)] = torch.tensor(tokens)
        return table

    def _name(self, user: int) -> str:
        return user_word(user, self.number_users)

    @property
    def one_token(self) -> bool:
        """Whether every item is one token."""
        return self.targets.size(1) == 1

    def write(
        self,
        template: str,
        user: Tensor | None,
        items: Tensor,
        masked: Tensor | None = None,
    ) -> Prompts:
        """Write prompts of one template.

        Args:
            template: of the words that the writer knows.
            user: (B,); None only for a template without a user.
            items: (B, n), in the order of writing; 0 is skipped anywhere.
            masked: (B, n) bool, items that are written as the word `MASK`.
        """
        parts = []
        for word in template.split():
            if word == USER and user is not None:
                parts.append(self._user + user[:, None])
            elif word == ITEMS:
                names = torch.where(items > 0, self._item + items, 0)
                if masked is not None:
                    names = names.masked_fill(masked, self._number[MASK])
                parts.append(names)
            else:
                parts.append(items.new_full((len(items), 1), self._number[word]))
        parts.append(torch.ones_like(items[:, :1]))
        return self._expand(torch.cat(parts, dim=1))

    def _expand(self, words: Tensor) -> Prompts:
        """Expand words (B, W) to their tokens (B, S)."""
        count = self._count[words]  # (B, W)
        total = count.sum(dim=1)
        column = torch.arange(int(total.max()), device=words.device)
        mask = column < total[:, None]  # (B, S)
        # For every token, in reading order: its word, and its position within the word.
        flat, flat_count = words.flatten(), count.flatten()
        starts = flat_count.cumsum(0) - flat_count
        word = flat.repeat_interleave(flat_count)
        shift = (self._first[flat] - starts).repeat_interleave(flat_count)
        index = torch.arange(len(word), device=words.device) + shift
        # Users and items of a row, or all of its words, in order.
        is_name = words > 1 if self.counts_words else words >= self._user
        place = (is_name.cumsum(dim=1) * is_name).flatten().repeat_interleave(flat_count)
        node = torch.where(word >= self._user, word - self._user + (word > self._item), -1)

        def padded(values: Tensor, filling: int) -> Tensor:
            return values.new_full(mask.shape, filling).masked_scatter_(mask, values)

        tokens = padded(self._token[index], self.pad)
        return Prompts(tokens, mask, padded(node, -1), padded(place, 0))

    def text(self, template: str, user: int | None, items: Sequence[int]) -> str:
        """The same prompt as a string, without its end."""
        names = " ".join(item_word(self.item_ids[item]) for item in items if item)
        words = {USER: self._name(user) if user is not None else "", ITEMS: names}
        return " ".join(words.get(word, word) for word in template.split())
