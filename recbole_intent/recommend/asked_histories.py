"""Conversion of requested histories from raw ids to internal numbers, in chunks."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recbole_intent.data.formats.asked import History
from recbole_intent.data.loading.known_histories import KnownHistories
from recbole_intent.utils.errors import UserError

_LOGGER = logging.getLogger("recbole_intent")

# Number of histories in memory at once. Within a chunk, histories of similar length are batched
# together to limit padding.
CHUNK = 8192


@dataclass(frozen=True)
class Chunk:
    """A chunk of histories in memory.

    Attributes:
        known: storage that holds the histories.
        rows: (C,) their rows in `known`.
        users: (C,) internal user ids; None for new histories.
        names: (C,) raw user ids, or None.
        first: number of histories before this chunk.
    """

    known: KnownHistories
    rows: Tensor
    users: Tensor | None
    names: Sequence[str | None]
    first: int

    @property
    def length(self) -> Tensor:
        """(C,) number of known items."""
        return self.known.end[self.rows] - self.known.start[self.rows]


class AskedHistories:
    """Splits requested histories into chunks; skips and reports ids that the dataset lacks.

    Args:
        dataset: name of the dataset, for the warning.
        item_ids: (V,) raw ids by number, padding first.
        user_ids: (U,) likewise.
    """

    def __init__(self, dataset: str, item_ids: np.ndarray, user_ids: np.ndarray) -> None:
        self.dataset = dataset
        self._user_ids = user_ids
        self._item_number = {name: n for n, name in enumerate(item_ids) if n}
        self._user_number = {name: n for n, name in enumerate(user_ids) if n}

    def item_number(self, item: str) -> int:
        """Return the internal number of an item.

        Raises:
            UserError: the dataset lacks it.
        """
        if item not in self._item_number:
            raise UserError(f"item {item!r} is not in {self.dataset}")
        return self._item_number[item]

    def new(self, histories: Iterable[History], item_field: str) -> Iterator[Chunk]:
        """Yield new histories of raw item ids, `CHUNK` at a time.

        Args:
            histories: raw item ids, oldest first.
            item_field: the model's field for the items of a history.

        Raises:
            UserError: at the end, if the dataset knows none of the items.
        """
        unknown, n_all, n_histories, first = _Unknown(self._item_number), 0, 0, 0
        histories = iter(histories)
        while asked := list(itertools.islice(histories, CHUNK)):
            rows = []
            for history in asked:
                numbers = [self._item_number.get(item) for item in history.items]
                known = [number for number in numbers if number is not None]
                if len(known) < len(numbers):
                    n_histories += 1
                    pairs = zip(history.items, numbers, strict=True)
                    unknown.add(item for item, number in pairs if number is None)
                n_all += len(numbers)
                rows.append(known)
            histories_of_chunk = KnownHistories.of_items(rows, item_field)
            names = [history.user for history in asked]
            yield Chunk(histories_of_chunk, torch.arange(len(asked)), None, names, first)
            first += len(asked)
        unknown.report(n_all, "items", f", in {n_histories} of {first} histories,", self.dataset)

    def users(self, users: Iterable[str] | None, known: KnownHistories) -> Iterator[Chunk]:
        """Yield users of the dataset, `CHUNK` at a time.

        Args:
            users: raw ids; all users if None.
            known: the histories of all users, by user number.

        Raises:
            UserError: at the end, if the dataset knows none of them.
        """
        unknown, n_asked, first = _Unknown(self._user_number), 0, 0
        users = iter(self._user_ids[1:] if users is None else users)
        while asked := list(itertools.islice(users, CHUNK)):
            n_asked += len(asked)
            unknown.add(user for user in asked if user not in self._user_number)
            names = [user for user in asked if user in self._user_number]
            rows = torch.tensor([self._user_number[user] for user in names], dtype=torch.long)
            if names:
                yield Chunk(known, rows, rows, names, first)
            first += len(names)
        unknown.report(n_asked, "users", "", self.dataset)


class _Unknown:
    """Counts ids that the dataset lacks and keeps the first few.

    Args:
        known: the dataset's ids.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self.count = 0
        self.few: list[str] = []
        self._known = known

    def add(self, ids: Iterable[str]) -> None:
        for name in ids:
            self.count += 1
            if len(self.few) < 3 and name not in self.few:
                self.few.append(name)

    def report(self, n_asked: int, kind: str, where: str, dataset_name: str) -> None:
        """Log a warning if any id was unknown.

        Raises:
            UserError: every id was unknown.
        """
        few = ", ".join(map(repr, self.few))
        if self.count and self.count == n_asked:
            known = ", ".join(map(repr, itertools.islice(self._known, 3)))
            raise UserError(
                f"none of the {n_asked} {kind} is in {dataset_name}: {few} …; its {kind} are "
                f"called {known} …"
            )
        if self.count:
            _LOGGER.warning(
                "%d of %d %s%s are not in %s and were skipped, such as %s",
                self.count,
                n_asked,
                kind,
                where,
                dataset_name,
                few,
            )
