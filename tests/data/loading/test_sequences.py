"""Index-based sequences: the rows are RecBole's own, and noise stays out of targets."""

import numpy as np
import pytest
import torch
from recbole.data.dataset import Dataset, SequentialDataset

from recbole_intent.data.loading.checked_dataset import CheckedDataset
from recbole_intent.data.loading.sequences import IndexedSequentialDataset
from recbole_intent.data.loading.split import load_data
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.utils.errors import UserError

SPLITS = ("train", "valid", "test")
FIELDS = ("user_id", "item_id", "timestamp", "item_length", "item_id_list", "timestamp_list")


def _assert_same_rows(ours: list, theirs: list) -> None:
    for name, mine, other in zip(SPLITS, ours, theirs, strict=True):
        expected = other.inter_feat
        assert len(mine.inter_feat) == len(expected), name
        index = torch.arange(len(expected))
        for part in index.split(20_000):
            rows = mine.rows(part, mine.max_item_list_len)
            assert set(rows.columns) == set(expected.columns)
            for field in FIELDS:
                assert torch.equal(rows[field], expected[field][part]), (name, field)
        for form in ("csr", "coo"):
            difference = mine.inter_matrix(form) - other.inter_matrix(form)
            assert abs(difference).sum() == 0, name


def test_rows_are_recboles_on_ml100k(ml100k, recbole_ml100k):
    _assert_same_rows(ml100k, recbole_ml100k)


def test_rows_are_recboles_on_amazon_toys(shared_datasets, config, tmp_path):
    prepare("amazon-toys", shared_datasets / "amazon-toys", tmp_path / "amazon-toys")
    options = {"data_path": str(tmp_path), "MAX_ITEM_LIST_LENGTH": 50}
    toys = config(dataset="amazon-toys", **options)
    _assert_same_rows(IndexedSequentialDataset(toys).build(), SequentialDataset(toys).build())


def test_rows_with_item_features_are_recboles(tiny):
    made = tiny("SASRecF")
    ours, theirs = IndexedSequentialDataset(made), SequentialDataset(made)
    for mine, other in zip(ours.build(), theirs.build(), strict=True):
        rows = mine.join(mine.rows(torch.arange(len(other)), mine.max_item_list_len))
        expected = other[torch.arange(len(other))]
        assert set(rows.columns) == set(expected.columns)
        for field in expected:
            assert torch.equal(rows[field], expected[field]), field


def test_a_width_cuts_or_adds_padding_only(ml100k):
    train = ml100k[0]
    index = torch.tensor([0, 3, 7])  # histories of 1, 4 and 8 items
    full = train.rows(index, 20)["item_id_list"]
    trimmed = train.rows(index)["item_id_list"]
    assert trimmed.shape == (3, 8)
    assert torch.equal(full[:, :8], trimmed)
    assert not full[:, 8:].any()


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_a_window_is_the_last_items_before_its_target(tiny, limit):
    dataset = IndexedSequentialDataset(tiny(MAX_ITEM_LIST_LENGTH=limit))
    train = dataset.build()[0]
    items = dataset.clean_items.tolist()
    for sample in train.inter_feat["sequence_target"].tolist()[:200]:
        index = int((train.inter_feat["sequence_target"] == sample).nonzero())
        row = train.rows([index])
        begin = max(int(dataset.sequences.user_start[sample]), sample - limit)
        assert row["item_id_list"][0].tolist() == items[begin:sample]
        assert row["item_id"].item() == items[sample]


def test_no_two_interactions_of_a_user_is_refused(config, tmp_path):
    folder = tmp_path / "lonely"
    folder.mkdir()
    lines = ["user_id:token\titem_id:token\ttimestamp:float", "a\tx\t1", "b\ty\t2"]
    (folder / "lonely.inter").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="no user has two interactions"):
        IndexedSequentialDataset(config(dataset="lonely", data_path=str(tmp_path))).build()


# --- noise -----------------------------------------------------------------------------------


def _histories(dataset) -> torch.Tensor:
    width = dataset.max_item_list_len
    return dataset.rows(torch.arange(len(dataset.inter_feat)), width)["item_id_list"]


@pytest.mark.parametrize("kind", ["replace", "insert", "delete"])
def test_noise_changes_histories_by_its_ratio_and_no_target(ml100k, kind):
    train = ml100k[0]
    noisy = train.with_noise(0.2, kind, seed=1)
    for field in ("user_id", "item_id", "timestamp", "sequence_target"):
        assert torch.equal(noisy.inter_feat[field], train.inter_feat[field]), field
    assert noisy.is_noisy
    assert not train.is_noisy
    before, after = len(train.clean_items), len(noisy.sequences.fields["item_id_list"])
    lost = 3 * len(train.inter_feat["user_id"].unique())  # targets that no history reads
    if kind == "replace":
        changed = (_histories(noisy) != _histories(train)).float().mean()
        assert 0.17 < changed < 0.21  # early rows are padding, which is never changed
    else:
        expected = (before - lost) * (1.2 if kind == "insert" else 0.8)
        assert after == pytest.approx(expected, rel=0.01)
    length = noisy.inter_feat["item_length"]
    assert 1 <= length.min() <= length.max() <= noisy.max_item_list_len


def test_noise_of_ratio_zero_is_none(ml100k):
    test = ml100k[2]
    assert torch.equal(_histories(test.with_noise(0.0, "replace", 3)), _histories(test))


def test_noise_depends_on_its_seed_alone(ml100k):
    test = ml100k[2]
    torch.manual_seed(1)
    first = _histories(test.with_noise(0.2, "replace", 3))
    torch.manual_seed(2)
    assert torch.equal(_histories(test.with_noise(0.2, "replace", 3)), first)
    assert not torch.equal(_histories(test.with_noise(0.2, "replace", 4)), first)


@pytest.mark.parametrize(("where", "changed"), [("test", {"test"}), ("train", {"train"})])
def test_noise_stays_where_it_was_asked_for(tiny, where, changed):
    clean = load_data(tiny())
    noisy = load_data(tiny(noise={"ratio": 0.3, "where": where}))
    for name in SPLITS:
        a, b = (
            getattr(data, name)._dataset if name == "train" else getattr(data, name).dataset
            for data in (clean, noisy)
        )
        is_same = torch.equal(_histories(a), _histories(b))
        assert is_same == (name not in changed), name
        assert torch.equal(a.inter_feat["item_id"], b.inter_feat["item_id"])


def test_noise_does_not_mask_other_items(tiny):
    """`mask_history` hides what the user really had, not what noise made up."""
    options = {"mask_history": True}
    clean = load_data(tiny(**options)).test
    noisy = load_data(tiny(**options, noise={"ratio": 0.5, "where": "both"})).test
    users = torch.arange(1, 61)
    for a, b in zip(clean._excluded(users), noisy._excluded(users), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("split", "kind"),
    # shuffle is refused in training, see below
    [
        *((0, kind) for kind in ("replace", "insert", "delete")),
        *((2, kind) for kind in ("replace", "insert", "delete", "shuffle")),
    ],
)
def test_no_history_knows_what_comes_after_it(tiny, split, kind):
    """Change later items: histories that end before them stay as they were."""
    part = IndexedSequentialDataset(tiny()).build()[split]
    user_start = part.sequences.user_start
    before = _histories(part.with_noise(0.3, kind, seed=7))

    kept = part.inter_feat["sequence_target"]
    if split == 0:  # items from the fifth on are others: targets up to the fifth do not see them
        late = torch.arange(len(user_start)) - user_start >= 4
        unseen = kept - user_start[kept] <= 4
    else:  # the test target itself is another item
        late = torch.zeros(len(user_start), dtype=torch.bool)
        late[kept] = True
        unseen = torch.ones(len(kept), dtype=torch.bool)
    others = part.clean_items.clone()
    others[late] = others[late] % (part.item_num - 1) + 1
    part.clean_items = others
    after = _histories(part.with_noise(0.3, kind, seed=7))
    assert unseen.any()
    assert torch.equal(before[unseen], after[unseen])
    if split == 0:
        assert not torch.equal(before, after)


def test_shuffle_is_refused_where_a_target_could_enter_its_own_history(tiny):
    with pytest.raises(UserError, match="one target a user"):
        load_data(tiny(noise={"ratio": 0.2, "kind": "shuffle", "where": "train"}))


def test_shuffled_test_history_is_a_permutation_without_the_target(tiny):
    test = IndexedSequentialDataset(tiny(MAX_ITEM_LIST_LENGTH=20)).build()[2]
    clean, noisy = _histories(test), _histories(test.with_noise(0.9, "shuffle", 1))
    assert not torch.equal(clean, noisy)
    np.testing.assert_array_equal(np.sort(clean.numpy()), np.sort(noisy.numpy()))


def test_noise_refuses_what_it_cannot_perturb(config):
    loaded = config(load_col={"inter": ["user_id", "item_id", "rating", "timestamp"]})
    train = IndexedSequentialDataset(loaded).build()[0]
    with pytest.raises(UserError, match="rating_list"):
        train.with_noise(0.2, "replace", 1)


@pytest.mark.parametrize(
    "noise",
    [
        {"ratio": 2},
        {"kind": "replace"},
        {"ratio": 0.2, "kind": "swap"},
        {"ratio": 0.2, "where": "valid"},
        {"ratio": 0.2, "wher": "test"},
        0.2,
    ],
    ids=str,
)
def test_bad_noise_is_named(tiny, noise):
    with pytest.raises(UserError, match="noise"):
        load_data(tiny(noise=noise))


def test_leave_one_out_is_recboles(config, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    lengths = [1, 4, 2, 3, 9, 2]
    users = np.random.default_rng(0).permutation(np.repeat(range(6), lengths))
    rows = "".join(f"{user}\ti{place % 7}\t{place}\n" for place, user in enumerate(users))
    (folder / "few.inter").write_text(f"user_id:token\titem_id:token\ttimestamp:float\n{rows}")
    dataset = CheckedDataset(config("BPR", dataset="few", data_path=str(tmp_path)))
    dataset._change_feat_format()
    how = "user_id", "valid_and_test"
    parts = dataset.leave_one_out(*how)
    for mine, theirs in zip(parts, Dataset.leave_one_out(dataset, *how), strict=True):
        for field in ("user_id", "item_id", "timestamp"):
            assert mine.inter_feat[field].tolist() == theirs.inter_feat[field].tolist()
