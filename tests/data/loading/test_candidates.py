"""Candidates of the direct task: outside the full history, the same for all, made once."""

import multiprocessing
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from recbole_intent.data.loading import candidates
from recbole_intent.data.loading.candidates import Question, draw, kept_candidates
from recbole_intent.data.loading.split import load_data
from recbole_intent.utils.errors import UserError

INTER = ["user_id", "item_id", "timestamp"]


@pytest.fixture
def direct(tiny, tmp_path):
    """Load `tiny` for the direct task: `direct("BPR", n_candidates=10)`."""

    def load(model="SASRec", **options):
        given = {"task": "direct", "n_candidates": 20, "checkpoint_dir": str(tmp_path), **options}
        return load_data(tiny(model, **given))

    return load


def by_user(data, part):
    """User -> (target, candidates) in raw ids, from the loader's batches."""
    dataset, found = data.dataset, {}
    for batch in getattr(data, part):
        ids = dataset.id2token(dataset.iid_field, batch.candidates.numpy())
        targets = dataset.id2token(dataset.iid_field, batch.target.numpy())
        users = dataset.id2token(dataset.uid_field, batch.user.numpy())
        for row, user in enumerate(users):
            found[str(user)] = (str(targets[row]), [str(item) for item in ids[row]])
    return found


def histories(tiny_path: Path) -> dict[str, list[str]]:
    rows = (tiny_path / "tiny/tiny.inter").read_text().split("\n")[1:-1]
    found = defaultdict(list)
    for row in rows:
        user, item, _ = row.split("\t")
        found[user].append(item)
    return found


@pytest.mark.parametrize(("part", "place"), [("valid", -2), ("test", -1)])
def test_a_list_is_the_target_and_items_that_the_user_had_not(direct, tiny_path, part, place):
    """Nor later, in the test; validation does not know what comes after it."""
    history, asked = histories(tiny_path), by_user(direct(), part)
    later = []
    assert asked.keys() == history.keys()
    for user, (target, items) in asked.items():
        assert target == history[user][place]
        assert len(set(items)) == len(items) == 21
        before = history[user][:-1] if part == "valid" else history[user]
        assert set(items) & set(before) == {target}
        later.append(history[user][-1] in items)
    # A user's test target is among 20 of some 30 items as often as any other.
    assert np.mean(later) > 0.3 if part == "valid" else all(later)


@pytest.mark.parametrize(
    "options",
    [
        {"model": "BPR"},
        {"fast_sequences": False},
        {"seed": 5},
        {"load_col": {"inter": INTER, "item": ["item_id", "class"]}},
    ],
    ids=str,
)
def test_lists_are_the_same_for_every_model_loader_and_seed(direct, options):
    """The numbers that a model gives to users and items may differ; ids count."""
    usual, other = direct(), direct(**options)
    assert usual.candidates == other.candidates
    for part in ("valid", "test"):
        assert by_user(usual, part) == by_user(other, part)


def test_another_seed_or_number_draws_other_lists(direct):
    usual, *others = (direct(**o) for o in ({}, {"candidates_seed": 1}, {"n_candidates": 19}))
    for other in others:
        assert other.candidates["hash"] != usual.candidates["hash"]
    assert by_user(usual, "valid") != by_user(usual, "test")
    assert usual.candidates.keys() == {"negatives", "seed", "hash", "outside"}
    assert usual.candidates["outside"] == {
        "valid": "training and validation",
        "test": "training, validation and test",
    }


def question(n_users=400, n_items=30, length=5, n_negatives=10, seed=3) -> Question:
    """Each user has had `length` items; the last is tested, the one before validated."""
    rng = np.random.default_rng(0)
    history = rng.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1)[:, :length]
    users = np.arange(n_users)
    seen = users[:, None] * n_items + history
    return Question(
        np.array([f"u{user:04}" for user in users]),
        np.array([f"i{item:04}" for item in range(n_items)]),
        {"valid": np.sort(seen[:, :-1].ravel()), "test": np.sort(seen.ravel())},
        {"valid": users, "test": users},
        {"valid": history[:, -2], "test": history[:, -1]},
        n_negatives,
        seed,
    )


@pytest.mark.parametrize("length", [2, 19])
def test_every_allowed_item_is_drawn_alike_and_the_target_lies_anywhere(length):
    """Also where histories leave few items, and a row cannot be filled at the first attempt."""
    asked = question(n_users=4000, length=length)
    lists = draw(asked)["test"]
    place = (lists == asked.targets["test"][:, None]).argmax(axis=1)
    assert np.bincount(place, minlength=11).std() < 3 * np.sqrt(4000 / 11)
    # Histories are drawn by chance too, so that over all users no item is preferred.
    times = np.bincount(lists.ravel(), minlength=30)
    assert abs(times - times.mean()).max() < 4 * np.sqrt(times.mean())
    keys = np.arange(4000)[:, None] * 30 + lists
    assert (np.isin(keys, asked.seen["test"]).sum(axis=1) == 1).all()
    assert (np.sort(lists)[:, 1:] != np.sort(lists)[:, :-1]).all()


def test_all_items_that_are_left_can_be_asked_for_and_no_more(tmp_path):
    asked = question(length=5, n_negatives=25)
    assert (np.sort(draw(asked)["valid"])[:, 1:] > np.sort(draw(asked)["valid"])[:, :-1]).all()
    with pytest.raises(UserError, match=r"user 'u0000' has only 25 items .* --n_candidates=25"):
        kept_candidates(question(length=5, n_negatives=26), tmp_path / "cache", "toy")
    assert not list(tmp_path.iterdir())


def test_the_file_is_read_again_and_not_drawn_again(tmp_path, monkeypatch):
    asked = question()
    made = kept_candidates(asked, tmp_path, "toy")
    monkeypatch.setattr(candidates, "draw", None)
    again = kept_candidates(asked, tmp_path, "toy")
    assert again.hash == made.hash
    assert all((again.lists[part] == made.lists[part]).all() for part in made.lists)


def _ask(folder: Path, start, results) -> None:
    plain = candidates.draw

    def noted(asked):
        with (folder / "draws").open("a") as file:
            file.write("drawn\n")
        return plain(asked)

    candidates.draw = noted
    start.wait()
    results.put(kept_candidates(question(n_users=20_000), folder / "cache", "toy").hash)


def test_processes_that_ask_at_once_make_one_file(tmp_path):
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_ask, args=(tmp_path, start, results), daemon=True) for _ in range(3)
    ]
    for process in processes:
        process.start()
    hashes = {results.get(timeout=120) for _ in processes}
    for process in processes:
        process.join()
    assert len(hashes) == 1
    assert (tmp_path / "draws").read_text() == "drawn\n"
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npz"]


def _spoil(path: Path, how: str) -> None:
    if how == "cut":
        path.write_bytes(path.read_bytes()[:200])
        return
    with np.load(path) as file:
        arrays = dict(file)
    if how == "other data":
        arrays["digest"] = np.array("0" * 64)
    else:
        arrays["test"][3] = 0  # no target, and an item twice
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "not a file of candidates"),
        ("other data", "of other data"),
        ("no target", "of other data"),
    ],
)
def test_a_damaged_file_is_named_and_not_used(tmp_path, how, message):
    kept_candidates(question(), tmp_path, "toy")
    (path,) = tmp_path.glob("*.npz")
    _spoil(path, how)
    with pytest.raises(UserError, match=rf"{path.name}: .*{message}.*; remove it to draw again"):
        kept_candidates(question(), tmp_path, "toy")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "here").write_text("a file")
    with pytest.raises(UserError, match="here: cannot be written"):
        kept_candidates(question(), tmp_path / "here", "toy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_candidates": 39}, "n_candidates: 39 are to be drawn, but user 'u"),
        ({"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}}, "one valid target a user"),
        ({"task": "direkt"}, "task: 'direkt' is not one of next-item, sequential, direct"),
        ({"n_candidates": 0}, "n_candidates: 0 is not a whole number from 1"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_told(direct, options, message):
    with pytest.raises(UserError, match=message):
        direct("BPR", **options)


def test_each_tested_session_is_asked_once(walks, tmp_path):
    made = walks(task="direct", n_candidates=5, checkpoint_dir=str(tmp_path))
    data = load_data(made)
    users = np.concatenate([batch.user.numpy() for batch in data.test])
    assert len(set(users)) == len(users) == len(data.test.candidates)


def test_a_ranking_of_all_items_draws_nothing(tiny, tmp_path):
    for task in ("next-item", "sequential"):
        data = load_data(tiny(task=task, checkpoint_dir=str(tmp_path)))
        assert data.candidates is None
        assert next(iter(data.test)).candidates is None
        assert data.test.n_ranked == 40
    assert not list(tmp_path.iterdir())
