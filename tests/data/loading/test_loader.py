"""Batches: shared passes equal rows in loss and gradients, trimmed rows equal full ones."""

import numpy as np
import pytest
import torch
from recbole.data.dataloader import TrainDataLoader

from recbole_intent.data.loading.loader import RankingLoader, SequenceTrainLoader
from recbole_intent.data.loading.split import load_data
from recbole_intent.utils.errors import UserError

NO_DROPOUT = {
    "SASRec": {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, "hidden_size": 16},
    "GRU4Rec": {"dropout_prob": 0.0, "hidden_size": 16, "embedding_size": 16},
}


def _loader(config, split, *, shares=False, trim=True, shuffle=True) -> SequenceTrainLoader:
    return SequenceTrainLoader(config, split, None, trim=trim, shares=shares, shuffle=shuffle)


def _loss_and_gradients(model, batches) -> tuple[float, dict[str, torch.Tensor]]:
    """Mean loss a target over an epoch, and its gradients."""
    model.zero_grad()
    total = sum(int((batch["item_id"] > 0).sum()) for batch in batches)
    loss = 0.0
    for batch in batches:
        part = model.calculate_loss(batch) * (int((batch["item_id"] > 0).sum()) / total)
        part.backward()
        loss += float(part.detach())
    return loss, {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("windows", ["exact"])
@pytest.mark.parametrize("passes", [1, 4])
@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec"])
def test_shared_passes_give_the_loss_and_gradients_of_rows(config, name, passes, windows):
    """Both early targets and those with more than 12 items before them, of 40 users."""
    # batches of one user's length or less, so that windows of several batches are met
    made = config(name, passes=passes, windows=windows, MAX_ITEM_LIST_LENGTH=12, **NO_DROPOUT[name])
    data = load_data(made, shares_passes=True)
    train = data.train._dataset
    users = train.inter_feat["user_id"]
    few = train.copy(train.inter_feat[users <= 25])
    before = few.inter_feat["sequence_target"] - few.inter_feat["sequence_start"]
    assert (before == 12).sum() > 500
    assert (before < 12).sum() > 200

    torch.manual_seed(3)
    model = made.spec.model_class()(made, train)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    rows = _loss_and_gradients(model, list(_loader(made, few)))
    batches = list(_loader(made, few, shares=True))
    assert any(
        batch["item_length"].dim() == 2 and batch["item_id"].size(1) > 3 for batch in batches
    )
    shared = _loss_and_gradients(model, batches)
    assert shared[0] == pytest.approx(rows[0], abs=1e-5)
    for parameter, gradient in rows[1].items():
        torch.testing.assert_close(shared[1][parameter], gradient, atol=1e-5, rtol=1e-4)


def test_strided_windows_leave_early_targets_alone(config):
    made = config(passes=1, windows="strided", MAX_ITEM_LIST_LENGTH=12)
    loader = load_data(made, shares_passes=True).train
    samples = loader._dataset.inter_feat
    exact = samples["item_length"].numpy()
    assert loader.is_strided
    assert (loader._length[exact < 12] == exact[exact < 12]).all()
    assert loader._length[exact == 12].min() == 6
    assert loader._length.max() == 12


def test_an_epoch_trains_every_target_with_its_own_history(config):
    made = config(passes=4, MAX_ITEM_LIST_LENGTH=12)
    train = load_data(made, True).train
    dataset = train._dataset
    seen = []
    for batch in train:
        items, length = batch["item_id_list"], batch["item_length"]
        assert (length > 0).equal(batch["item_id"] > 0)
        row, column = batch["item_id"].nonzero(as_tuple=True)
        for r, c in zip(row[:50].tolist(), column[:50].tolist(), strict=True):
            n = int(length[r, c])
            assert items[r, :n].all()
        seen.append(
            torch.stack(
                [
                    batch["user_id"][row],
                    batch["item_id"][row, column],
                    length[row, column],
                    items[row, length[row, column] - 1],
                ],
                dim=1,
            )
        )
    seen = torch.cat(seen)
    rows = dataset.rows(torch.arange(len(dataset)), 12)
    last = rows["item_id_list"][torch.arange(len(rows)), rows["item_length"] - 1]
    expected = torch.stack([rows["user_id"], rows["item_id"], rows["item_length"], last], dim=1)
    np.testing.assert_array_equal(
        np.unique(seen.numpy(), axis=0), np.unique(expected.numpy(), axis=0)
    )
    assert len(seen) == len(expected)


@pytest.mark.parametrize("passes", [1, "all"])
def test_order_depends_on_seed_and_epoch_alone(tiny, passes):
    def epoch(number: int, seed: int = 1) -> list[torch.Tensor]:
        loader = load_data(tiny(passes=passes, seed=seed), True).train
        loader.set_epoch(number)
        return [batch["item_id"] for batch in loader]

    first = epoch(0)
    for other, is_same in ((epoch(0), True), (epoch(1), False), (epoch(0, seed=2), False)):
        assert all(map(torch.equal, first, other)) == is_same


def test_trimmed_rows_are_full_rows_without_padding(ml100k, config):
    made = config(train_batch_size=100)
    few = ml100k[0].copy(ml100k[0].inter_feat[torch.arange(1000)])
    trimmed = list(_loader(made, few))
    full = list(_loader(made, few, trim=False))
    assert {batch["item_id_list"].size(1) for batch in full} == {20}
    assert min(batch["item_id_list"].size(1) for batch in trimmed) < 20
    for a, b in zip(trimmed, full, strict=True):
        width = a["item_id_list"].size(1)
        assert int(a["item_length"].max()) == width
        assert torch.equal(a["item_id_list"], b["item_id_list"][:, :width])
        assert not b["item_id_list"][:, width:].any()


def test_without_shuffling_batches_are_recboles(ml100k, recbole_ml100k, config):
    made = config(train_batch_size=300)
    few, theirs = (
        split.copy(split.inter_feat[torch.arange(1000)]) for split in (ml100k[0], recbole_ml100k[0])
    )
    ours = _loader(made, few, trim=False, shuffle=False)
    expected = TrainDataLoader(made, theirs, None, shuffle=False)
    assert len(ours) == len(expected) == 4
    for a, b in zip(ours, expected, strict=True):
        for field in ("user_id", "item_id", "item_length", "item_id_list"):
            assert torch.equal(a[field], b[field]), field


def test_length_of_the_loader_is_that_of_rows(tiny):
    loader = load_data(tiny(passes="all")).train
    assert len(list(loader)) == len(loader)


def test_negative_sampling_needs_rows_and_draws_items_of_others(tiny):
    made = tiny(loss_type="BPR", passes=1, hidden_size=16)
    data = load_data(made, shares_passes=True)
    assert data.train.passes is None
    batches = list(data.train)
    assert sum(len(batch) for batch in batches) == len(data.train._dataset)
    for batch in batches:
        assert batch["item_length"].dim() == 1
        assert (batch["neg_item_id"] != batch["item_id"]).all()
        assert batch["neg_item_id"].min() >= 1
        assert batch["neg_item_id"].max() < data.dataset.item_num
    model = made.spec.model_class()(made, data.train._dataset)
    model.calculate_loss(batches[0]).backward()
    assert model.item_embedding.weight.grad.abs().sum() > 0


def test_several_negatives_a_target(tiny):
    made = tiny(loss_type="BPR", train_neg_sample_args={"sample_num": 3}, train_batch_size=60)
    batch = next(iter(load_data(made).train))
    assert len(batch) == 60
    assert torch.equal(batch["item_id"][:20], batch["item_id"][20:40])


def test_masked_training_hides_real_items_and_never_fails_on_short_histories(tiny):
    """BERT4Rec: RecBole's loss of a batch of nothing but one-item histories is 0 / 0."""
    made = tiny("BERT4Rec", mask_ratio=0.5, train_batch_size=32, hidden_size=16, inner_size=16)
    data = load_data(made, made.spec.model_class())
    mask = data.dataset.item_num
    model = made.spec.model_class()(made, data.train._dataset)
    widths = set()
    for epoch in range(3):
        torch.manual_seed(epoch)
        data.train.set_epoch(epoch)
        for batch in data.train:
            original, masked = batch["item_id_list"], batch["Mask_item_id_list"]
            widths.add(original.size(1))
            hidden = masked != original
            assert (masked[hidden] == mask).all()
            assert original[hidden].all()
            assert torch.isfinite(model.calculate_loss(batch))
    assert max(widths) <= 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0}, "passes: 0"),
        ({"passes": "some"}, "passes: 'some'"),
        ({"passes": 1.5}, "passes: 1.5"),
        ({"windows": "sliding"}, "windows: 'sliding'"),
        ({"passes": 1, "windows": "strided", "noise": {"ratio": 0.1, "where": "train"}}, "strided"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named(tiny, options, message):
    with pytest.raises(UserError, match=message):
        load_data(tiny(**options), shares_passes=True)


# --- ranking ---------------------------------------------------------------------------------


def test_ranking_meets_every_row_once(ml100k):
    valid = ml100k[1]
    batches = list(RankingLoader(valid, 100, trim=True))
    assert len(batches) == len(RankingLoader(valid, 100, trim=True)) == 10
    met = {(int(u), int(t)) for b in batches for u, t in zip(b.user, b.target, strict=True)}
    rows = valid.inter_feat
    assert met == set(zip(rows["user_id"].tolist(), rows["item_id"].tolist(), strict=True))
    assert sum(len(batch.user) for batch in batches) == len(rows) == 943
    assert all(batch.excluded is None for batch in batches)


def test_shares_of_a_ranking_are_its_batches(ml100k):
    loader = RankingLoader(ml100k[1], 100, trim=True)
    whole = list(loader)
    for n in (2, 3, 12):  # 12: more than there are batches
        shares = [list(loader.share(i, n)) for i in range(n)]
        assert sum(map(len, shares)) == len(whole)
        for i, batch in enumerate(whole):
            part = shares[i % n][i // n]
            assert torch.equal(part.user, batch.user)
            assert torch.equal(part.interaction["item_id_list"], batch.interaction["item_id_list"])


def test_masked_history_is_the_items_of_earlier_splits(ml100k):
    train, valid, test = ml100k
    known = {}
    for split in (train, valid):
        for user, item in zip(
            split.inter_feat["user_id"].tolist(), split.inter_feat["item_id"].tolist(), strict=True
        ):
            known.setdefault(user, set()).add(item)
    first = train.inter_feat["item_length"] == 1
    start = train.inter_feat["sequence_start"][first]
    for user, item in zip(
        train.inter_feat["user_id"][first].tolist(), train.clean_items[start].tolist(), strict=True
    ):
        known[user].add(item)
    history = train.inter_matrix(form="csr") + valid.inter_matrix(form="csr")
    for batch in RankingLoader(test, 400, trim=True, history=history):
        row, item = batch.excluded
        for r in range(0, len(batch.user), 37):
            assert set(item[row == r].tolist()) == known[int(batch.user[r])]


def test_batches_shrink_where_the_catalogue_is_large(ml100k, monkeypatch):
    monkeypatch.setattr("recbole_intent.data.loading.loader.MAX_SCORES", 1683 * 50)
    assert RankingLoader(ml100k[1], 4096, trim=True).batch_size == 50


def test_samplers_of_general_models_never_draw_a_known_item(tiny):
    made = tiny("BPR")
    data = load_data(made)
    known = data.train._dataset.inter_matrix(form="csr").toarray()
    for batch in data.train:
        assert not known[batch["user_id"], batch["neg_item_id"]].any()


@pytest.mark.parametrize("passes", ["all", 1])
def test_so_many_random_targets_of_each_user_others_in_each_epoch(tiny, passes):
    every = load_data(tiny(train_targets="all"), shares_passes=True).train
    data = load_data(tiny(train_targets=3, passes=passes), shares_passes=True).train
    known = every._dataset.inter_feat["user_id"]
    epochs = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        pairs = []
        for batch in data:
            lengths, items = batch["item_length"], batch["item_id"]
            users = batch["user_id"].reshape(-1, *[1] * (items.dim() - 1)).expand_as(items)
            real = items > 0
            columns = (users[real].tolist(), lengths[real].tolist(), items[real].tolist())
            pairs += zip(*columns, strict=True)
        assert len(pairs) == len(set(pairs)) == data.sample_size
        users = torch.tensor([user for user, _, _ in pairs])
        counts, left = (torch.bincount(u, minlength=61)[1:] for u in (users, known))
        assert torch.equal(counts, left.clamp_max(3))
        epochs.append(sorted(pairs))
    assert epochs[0] == epochs[2] != epochs[1]


@pytest.mark.parametrize("which", [0, -1, True, "some"])
def test_other_train_targets_are_named(tiny, which):
    with pytest.raises(
        UserError, match=r"train_targets: .* is not one of all, last or a whole number from 1"
    ):
        load_data(tiny(train_targets=which))
