"""The direct task's candidate lists: each user's target among sampled items, for every model."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch

from recbole_intent.config.config import Config
from recbole_intent.data.loading.known_histories import KnownHistories
from recbole_intent.data.loading.split_data import SplitData
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write, folder_lock
from recbole_intent.utils.own_files import read_npz

PARTS = ("valid", "test")
# Interactions that a split's negatives avoid, for the record. The test set does not affect
# validation: its negatives may be test targets, which at validation time nobody has chosen yet.
EXCLUDED = {"valid": "training and validation", "test": "training, validation and test"}


@dataclass(frozen=True, eq=False)
class Question:
    """The users and targets of a candidate evaluation, in raw ids, independent of model datasets.

    Attributes:
        users: (U,) str, sorted: all users with an interaction.
        items: (V,) str, sorted: all items with an interaction.
        seen: split -> (M,) int64, sorted: u * V + v for each item v of user u's history that the
            split may know: `valid` excludes all of the test set, `test` includes it.
        asked: split -> (N,) indices into `users`, ascending.
        targets: split -> (N,) indices into `items`.
        n_negatives: items drawn for each target.
        seed: seed of the draw.
    """

    users: np.ndarray
    items: np.ndarray
    seen: dict[str, np.ndarray]
    asked: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    n_negatives: int
    seed: int

    @classmethod
    def of(cls, config: Config, data: SplitData) -> Self:
        """Build the question from a run's loaded data.

        Raises:
            UserError: a user with several targets, or files without whole histories.
        """
        dataset = data.dataset
        known = KnownHistories.of(config, data)
        users, items = (x.numpy() for x in known.of_rows(torch.arange(dataset.user_num)))
        user_ids, user_place = _sorted_ids(dataset.field2id_token[dataset.uid_field], users)
        item_ids, item_place = _sorted_ids(dataset.field2id_token[dataset.iid_field], items)
        asked, targets = {}, {}
        for part, split in zip(PARTS, (data.valid.dataset, data.test.dataset), strict=True):
            rows = split.inter_feat
            places = user_place[rows[dataset.uid_field].numpy()]
            order = np.argsort(places, kind="stable")
            asked[part] = places[order]
            targets[part] = item_place[rows[dataset.iid_field].numpy()][order]
            if len(np.unique(places)) < len(places):
                raise UserError(
                    f"task: direct asks for one {part} target a user; leave one out, as by "
                    "--eval_args='{split: {LS: valid_and_test}}'"
                )
        seen = {}
        for part in PARTS:
            users, items = (x.numpy() for x in _known_to(part, config, data))
            seen[part] = np.unique(user_place[users] * len(item_ids) + item_place[items])
        negatives, seed = config["n_candidates"], config["candidates_seed"]
        return cls(user_ids, item_ids, seen, asked, targets, negatives, seed)

    def pool(self, part: str) -> np.ndarray:
        """(P,) ascending indices of the items that may be drawn: those known to the split."""
        return np.unique(self.seen[part] % len(self.items))

    def n_seen(self, part: str) -> np.ndarray:
        """(U,) distinct items in each user's history, as far as the split may know it."""
        return np.bincount(self.seen[part] // len(self.items), minlength=len(self.users))

    def digest(self) -> str:
        """SHA-256 of all attributes."""
        digest = hashlib.sha256(f"{self.n_negatives} {self.seed}\n".encode())
        for ids in (self.users, self.items):
            digest.update("\n".join([*ids, ""]).encode())
        _update(digest, *self.seen.values(), *self.asked.values(), *self.targets.values())
        return digest.hexdigest()


def _known_to(part: str, config: Config, data: SplitData) -> tuple[torch.Tensor, torch.Tensor]:
    """Users (P,) and items (P,) of the interactions that a split may know."""
    everyone = torch.arange(data.dataset.user_num)
    if part == "test":
        return KnownHistories.of(config, data).of_rows(everyone)
    train, valid, test = (
        torch.zeros(len(everyone), dtype=torch.bool).index_fill_(
            0, split.inter_feat[data.dataset.uid_field], True
        )
        for split in (data.train_dataset, data.valid.dataset, data.test.dataset)
    )
    # For users that occur only in the test set (such as sessions), even the history belongs to it.
    users = everyone[train | valid | ~test]
    rows, items = KnownHistories.of(config, data, "valid").of_rows(users)
    return users[rows], items


def _sorted_ids(tokens: Sequence[str], present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw ids (n,) of the internal ids that are present, sorted; internal id -> index there."""
    internal = np.unique(present)
    ids = np.asarray(tokens)[internal].astype(str)
    order = np.argsort(ids)
    place = np.full(len(tokens), -1)
    place[internal[order]] = np.arange(len(internal))
    return ids[order], place


def _update(digest, *arrays: np.ndarray) -> None:
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())


@dataclass(frozen=True, eq=False)
class Candidates:
    """The drawn candidate lists of a question.

    Attributes:
        lists: split -> (N, 1 + n) int32 indices into the question's `items`, in random order,
            including the target; one row per user in `asked`.
        hash: SHA-256 of the lists and of the ids that they refer to.
    """

    lists: dict[str, np.ndarray]
    hash: str


def with_candidates(config: Config, data: SplitData) -> SplitData:
    """The data of a run with validation and test rankings restricted to each target's candidates.

    Raises:
        UserError: a user with several targets, or with too few other items; or a damaged file.
    """
    question = Question.of(config, data)
    folder = Path(config["checkpoint_dir"]) / "candidates"
    candidates = kept_candidates(question, folder, config["dataset"])
    dataset = data.dataset
    place_of_user = {user: place for place, user in enumerate(question.users.tolist())}
    tokens = dataset.field2id_token[dataset.uid_field]
    internal = dataset.token2id(dataset.iid_field, question.items).astype(np.int32)
    for part, loader in zip(PARTS, (data.valid, data.test), strict=True):
        users = loader.dataset.inter_feat[dataset.uid_field].tolist()
        places = np.array([place_of_user[str(tokens[user])] for user in users])
        rows = np.searchsorted(question.asked[part], places)
        loader.candidates = torch.from_numpy(internal[candidates.lists[part][rows]])
    record = {
        "negatives": question.n_negatives,
        "seed": question.seed,
        "hash": candidates.hash,
        "outside": EXCLUDED,
    }
    return replace(data, candidates=record)


def kept_candidates(question: Question, folder: Path, dataset: str) -> Candidates:
    """The lists of a question, read from their file, which is created if missing.

    Concurrent processes create a single file. It is kept because another version of numpy may draw
    other items from the same seed.

    Raises:
        UserError: a user has too few items outside the history; or the file is damaged or cannot
            be written.
    """
    digest = question.digest()
    name = f"{dataset}-{question.n_negatives}-{question.seed}-{digest[:10]}.npz"
    path = folder / name
    if not path.exists():
        refuse_too_many(question)  # before a folder is created
        with folder_lock(folder, wait=True):
            if not path.exists():
                lists = draw(question)
                with atomic_write(path) as temporary, temporary.open("wb") as file:
                    # No list is named as numpy's one option, `allow_pickle`.
                    np.savez_compressed(file, digest=digest, **lists)  # type: ignore[arg-type]
    lists = _read(path, question, digest)
    content = hashlib.sha256()
    for part in PARTS:
        for ids in (question.users[question.asked[part]], question.items):
            content.update("\n".join([*ids, ""]).encode())
        _update(content, lists[part])
    return Candidates(lists, content.hexdigest())


def _read(path: Path, question: Question, digest: str) -> dict[str, np.ndarray]:
    arrays = read_npz(
        path, (*PARTS, "digest"), "remove it to draw again", "not a file of candidates"
    )
    lists, theirs = {part: arrays[part] for part in PARTS}, str(arrays["digest"])
    for part, places in lists.items():
        target = question.targets[part]
        if (
            theirs != digest
            or places.dtype.kind != "i"
            or places.shape != (len(target), 1 + question.n_negatives)
            or places.min() < 0
            or places.max() >= len(question.items)
            or not ((places == target[:, None]).sum(axis=1) == 1).all()
        ):
            raise UserError(f"{path}: holds candidates of other data; remove it to draw again")
    return lists


def draw(question: Question) -> dict[str, np.ndarray]:
    """Draw each user's list: the target and n distinct items outside the user's history.

    Histories and items are those that a split may know: validation's lists do not depend on the
    test set.

    Args:
        question: users and targets.

    Returns:
        Split -> (N, 1 + n) int32 indices into `items`, in random order; splits are drawn
        independently.

    Raises:
        ValueError: a user has fewer than n items outside the history.
    """
    n, n_items, lists = question.n_negatives, len(question.items), {}
    for number, part in enumerate(PARTS):
        rng = np.random.default_rng([question.seed, number])
        users, targets = question.asked[part], question.targets[part]
        pool = question.pool(part)
        number_of = np.full(n_items, -1)
        number_of[pool] = np.arange(len(pool))
        owner, item = np.divmod(question.seen[part], n_items)
        seen = owner * len(pool) + number_of[item]
        drawn = np.empty((len(users), 1 + n), dtype=np.int32)
        drawn[:, 0] = targets
        for first in range(0, len(users), 4096):
            rows = slice(first, first + 4096)
            drawn[rows, 1:] = pool[draw_outside(seen, users[rows], len(pool), n, rng)]
        # In random order; otherwise a model that reads candidates could learn the target's place.
        lists[part] = rng.permuted(drawn, axis=1)
    return lists


def refuse_too_many(question: Question) -> None:
    """Raise UserError if a user has too few items outside the history."""
    for part in PARTS:
        asked = question.asked[part]
        n_left = len(question.pool(part)) - question.n_seen(part)[asked]
        if len(n_left) and n_left.min() < question.n_negatives:
            fewest = int(n_left.argmin())
            raise UserError(
                f"n_candidates: {question.n_negatives} are to be drawn, but user "
                f"{str(question.users[asked[fewest]])!r} has only {n_left[fewest]} items outside "
                f"{EXCLUDED[part]}; give --n_candidates={n_left.min()}"
            )


def draw_outside(
    seen: np.ndarray, users: np.ndarray, n_items: int, n: int, rng: np.random.Generator
) -> np.ndarray:
    """(B, n) distinct items outside the histories of `users` (B,), drawn uniformly.

    Args:
        seen: (M,) int64, sorted: u * V + v for each item v of user u's history.
        users: (B,).
        n_items: V; items are 0 .. V - 1, and each history leaves at least n of them.
        n: items drawn per row.
        rng: random generator.
    """
    drawn = rng.integers(n_items, size=(len(users), 2 * n + 16))
    keys = users[:, None] * n_items + drawn
    near = np.searchsorted(seen, keys)
    is_good = seen[np.minimum(near, len(seen) - 1)] != keys
    order = np.argsort(drawn, axis=1, kind="stable")
    in_order = np.take_along_axis(drawn, order, axis=1)
    again = np.zeros_like(is_good)  # the item was already drawn in this row
    np.put_along_axis(again, order[:, 1:], in_order[:, 1:] == in_order[:, :-1], axis=1)
    is_good &= ~again
    first_good = np.argsort(~is_good, axis=1, kind="stable")[:, :n]
    items = np.take_along_axis(drawn, first_good, axis=1)
    for row in np.flatnonzero(is_good.sum(axis=1) < n):  # long histories, small catalogues
        begin, end = np.searchsorted(seen, [users[row] * n_items, (users[row] + 1) * n_items])
        own = seen[begin:end] - users[row] * n_items
        items[row] = rng.choice(np.setdiff1d(np.arange(n_items), own), n, replace=False)
    return items
