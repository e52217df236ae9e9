"""Prompts of users and items as token ids: words once through the tokenizer, rows by indexing.

The tokens of every word, user and item are looked up once. A batch is then put together by
indexing, and its rows equal what the tokenizer makes of the strings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recbole_intent.errors import UserError

USER, ITEMS = "{user}", "{items}"

# New histories have no user, and are sequential always.
NEW_USER = ITEMS
# By task; the first is the bare form, the one of validation, test and recommendation.
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
    """How user number `user` is called; `user_` where the whole word alone tells who it is."""
    return f"user_{user}" if by_number else "user_"


def item_word(item_id: str) -> str:
    """How an item with this id (see `item_ids`) is called."""
    return f"item_{item_id}"


def literal_words() -> list[str]:
    """All words of the templates, sorted."""
    every = {word for forms in TEMPLATES.values() for form in forms for word in form.split()}
    return sorted(every - {USER, ITEMS})


@dataclass(frozen=True)
class Prompts:
    """A batch of prompts, padded on the right.

    Attributes:
        tokens: (B, S) int64.
        mask: (B, S) bool, False where a row has ended.
        node: (B, S) int64: u where a token is of user u, U + v of item v, -1 of other words.
        place: (B, S) int64: 1, 2 … of the row's users and items as they come, 0 of other words.
    """

    tokens: Tensor
    mask: Tensor
    node: Tensor
    place: Tensor


class PromptWriter(nn.Module):
    """Writes prompts of users and items.

    Args:
        tokenizer: of transformers, with a padding and an end token.
        n_users: U, padding included.
        item_ids: (V,) ids of items; that of padding is not used.
        number_users: False: all users are one word, `user_`.

    Raises:
        UserError: the tokenizer has no token for a part of a word, or the same for two items.
    """

    def __init__(
        self, tokenizer: Any, n_users: int, item_ids: Sequence[str], number_users: bool = True
    ) -> None:
        super().__init__()
        self.item_ids, self.n_users = list(item_ids), n_users
        self.number_users = number_users
        literals = literal_words()
        items = [item_word(name) for name in self.item_ids[1:]]
        words = [*literals, *(self._name(u) for u in range(n_users)), *items]
        of_word: list[list[int]] = tokenizer(words, add_special_tokens=False)["input_ids"]
        unknown = tokenizer.unk_token_id
        for word, tokens in zip(words, of_word, strict=True):
            if not tokens or unknown in tokens:
                raise UserError(
                    f"t5: its tokenizer does not know the word {word!r}; give another T5, or "
                    "--t5=scratch"
                )
        eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
        # Word 0 is nothing, 1 ends a prompt; then literals, users, items.
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
        """(V, T): what T5 writes for each item; padding's row is empty."""
        if len({tuple(tokens) for tokens in of_item}) < len(of_item):
            raise UserError(
                "t5: its tokenizer writes two items alike; give --id_tokens=item, another T5, or "
                "--t5=scratch"
            )
        if max(map(len, of_item)) > 1:  # an item that is one token needs no end
            of_item = [[*tokens, eos] for tokens in of_item]
        table = torch.full((len(of_item) + 1, max(map(len, of_item))), self.pad)
        for item, tokens in enumerate(of_item, start=1):
            table[item, : len(tokens)] = torch.tensor(tokens)
        return table

    def _name(self, user: int) -> str:
        return user_word(user, self.number_users)

    @property
    def one_token(self) -> bool:
        """Is every item one token?"""
        return self.targets.size(1) == 1

    def write(self, template: str, user: Tensor | None, items: Tensor) -> Prompts:
        """Prompts of one template.

        Args:
            template: one of `TEMPLATES`.
            user: (B,); None only for a template without a user.
            items: (B, n), in the order of writing; 0 is passed over wherever it stands.
        """
        parts = []
        for word in template.split():
            if word == USER:
                parts.append(self._user + user[:, None])
            elif word == ITEMS:
                parts.append(torch.where(items > 0, self._item + items, 0))
            else:
                parts.append(items.new_full((len(items), 1), self._number[word]))
        parts.append(torch.ones_like(items[:, :1]))
        return self._expand(torch.cat(parts, dim=1))

    def _expand(self, words: Tensor) -> Prompts:
        """From words (B, W) to their tokens (B, S)."""
        count = self._count[words]  # (B, W)
        total = count.sum(dim=1)
        column = torch.arange(int(total.max()), device=words.device)
        mask = column < total[:, None]  # (B, S)
        # Of every token, in reading order: its word, and its place within the word.
        flat, flat_count = words.flatten(), count.flatten()
        starts = flat_count.cumsum(0) - flat_count
        word = flat.repeat_interleave(flat_count)
        shift = (self._first[flat] - starts).repeat_interleave(flat_count)
        index = torch.arange(len(word), device=words.device) + shift
        # Users and items of a row in their order.
        is_name = words >= self._user
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
