"""Models that cluster mean-pooled histories: shared parts of ICLRec and ELCRec."""

import pytest
import torch

from recbole_intent.data.loading.split import load_data
from recbole_intent.modeling.pooled import align_at_end
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.runs.experiment import build, run
from recbole_intent.utils.errors import UserError

NARROW = {"hidden_size": 8, "inner_size": 8, "n_layers": 1, "num_clusters": 4, "kmeans_redo": 1}
OFF = {
    "ICLRec": {"instance_weight": 0, "intent_weight": 0},
    "ELCRec": {"instance_weight": 0, "intent_weight": 0, "cluster_weight": 0},
}
MODELS = pytest.mark.parametrize("name", sorted(OFF))


@pytest.fixture
def no_dropout(monkeypatch):
    monkeypatch.setattr(FastDropout, "forward", lambda self, x: x)


def started(tiny, name, **options):
    """A trainer at the beginning of its first epoch, and its first batch."""
    trainer, data = build(tiny(name, **{**NARROW, **options}))
    torch.manual_seed(3)
    for key, parameter in trainer.model.named_parameters():
        if key != "centres":
            torch.nn.init.normal_(parameter, std=0.3)
    trainer.seed_epoch(0, data.train)
    trainer.before_epoch(0, data.train)
    return trainer, data, next(iter(data.train))


@MODELS
def test_states_are_those_of_each_position_and_pooling_leaves_padding_out(tiny, name):
    trainer, _, batch = started(tiny, name, positions="start")
    model, item_seq = trainer.model.eval(), batch["item_id_list"]
    last = batch["item_length"].amax(1)
    states = model.states(item_seq, last)
    for t in range(1, item_seq.size(1) + 1):
        rows = last >= t
        alone = model(item_seq[rows], torch.full((int(rows.sum()),), t))
        torch.testing.assert_close(states[rows, t - 1], alone)
    pooled = model.sequence_vectors(item_seq, last)
    for row, length in enumerate(last):
        torch.testing.assert_close(pooled[row], states[row, :length].mean(0))


def test_states_aligned_at_the_end_have_their_last_item_there():
    states = torch.arange(1.0, 25).view(2, 4, 3)
    aligned = align_at_end(states, torch.tensor([4, 1]))
    assert torch.equal(aligned[0], states[0])
    assert torch.equal(aligned[1, 3], states[1, 0])
    assert (aligned[1, :3] == 0).all()


@MODELS
def test_the_k_means_is_of_each_users_longest_training_history(tiny, name):
    trainer, data, _ = started(tiny, name)
    seen = []
    trainer.model.sequence_vectors = lambda item_seq, n: (
        seen.append((item_seq, n)) or torch.randn(len(n), 8)
    )
    trainer._vectors(data.train_dataset, trainer._samples(data.train_dataset))
    dataset = data.train_dataset
    longest = dataset.inter_feat["item_length"][torch.from_numpy(dataset.last_samples())]
    assert sorted(torch.cat([n for _, n in seen]).tolist()) == sorted(longest.tolist())


@MODELS
@pytest.mark.parametrize("passes", ["all", 1])
def test_without_weights_and_with_softmax_it_is_sasrec(tiny, no_dropout, name, passes):
    options = {**OFF[name], "next_item_loss": "CE", "passes": passes}
    trainer, _, batch = started(tiny, name, **options)
    shape = {key: NARROW[key] for key in ("hidden_size", "inner_size", "n_layers")}
    made = tiny("SASRec", positions="end", passes=passes, **shape)
    sasrec = made.spec.model_class()(made, load_data(made).train._dataset)
    weights = trainer.model.state_dict()
    del weights["centres"]
    sasrec.load_state_dict(weights)
    (loss,) = trainer.losses(batch)
    torch.testing.assert_close(loss, sasrec.calculate_loss(batch))
    with pytest.raises(UserError, match=f"--explain: this {name} has no intents"):
        trainer.model.explain(batch, 2)


@MODELS
def test_the_next_item_loss_draws_others_than_the_target(tiny, no_dropout, name):
    trainer, _, batch = started(tiny, name, **OFF[name])
    model = trainer.model
    torch.manual_seed(9)
    (loss,) = trainer.losses(batch)
    h, target = model.encode_targets(batch)
    torch.manual_seed(9)
    chance = torch.randint(1, model.n_items - 1, (len(target),))
    negative = chance + (chance >= target)
    assert (negative != target).all()
    table = model.item_embedding.weight
    scores = [(h * table[items]).sum(1) for items in (target, negative)]
    expected = -(scores[0].sigmoid().log() + (1 - scores[1].sigmoid()).log()).mean()
    torch.testing.assert_close(loss, expected)


@MODELS
def test_views_contrast_rows_and_centres(tiny, no_dropout, name):
    """Two equal views of rows far apart have no loss; of equal rows, that of chance."""
    trainer, _, batch = started(tiny, name)
    model, last = trainer.model, batch["item_length"].amax(1)
    views = model.views(batch["item_id_list"], last)
    for states, lengths in views:
        assert states.shape[:2] == batch["item_id_list"].shape
        assert (lengths <= last).all()
    far = torch.eye(5).repeat_interleave(2, dim=1)[:, None] * 30  # (5, 1, 10)
    one = torch.ones(5).long()
    assert model.instance_contrast([(far, one), (far, one)]) < 1e-3
    same = torch.ones(5, 1, 10)
    chance = torch.log(torch.tensor(9.0))
    torch.testing.assert_close(model.instance_contrast([(same, one), (same, one)]), chance)
    cluster = torch.zeros(5).long()
    equal = model.intent_contrast([(same, one)] * 2, torch.ones(5, 10), cluster)
    torch.testing.assert_close(equal, chance)
    model.masks = True
    assert model.intent_contrast([(same, one)] * 2, torch.ones(5, 10), cluster) == 0


@MODELS
@pytest.mark.parametrize("stage", ["in the E-step", "after it"])
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(
    tiny, tmp_path, monkeypatch, name, stage
):
    options = {**NARROW, "epochs": 3}
    whole, data = build(tiny(name, **options))
    whole.fit(data.train, data.valid)
    first, data = build(tiny(name, **options), tmp_path)
    if stage == "after it":
        first.epochs = 1
        first.fit(data.train, data.valid)
    else:
        monkeypatch.setattr(first.model, "set_centres", lambda centres: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            first.fit(data.train, data.valid)
    second, data = build(tiny(name, **options), tmp_path)
    second.fit(data.train, data.valid)
    assert [r["loss"] for r in second.history] == [r["loss"] for r in whole.history]
    assert [*whole.history[0]["loss"]] == [*whole.model.loss_names]
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key]), key
    second.load_best()
    (batch, *_) = data.test
    intents = second.model.eval().explain(batch.interaction, 2)
    assert len(intents) == len(batch.user)
    assert {len(items) for (intent,) in intents for items in [intent.items]} <= {1, 2}


@MODELS
def test_more_clusters_than_histories_are_refused(tiny, tmp_path, name):
    made = tiny(name, **{**NARROW, "num_clusters": 99})
    with pytest.raises(UserError, match=r"num_clusters: 99 are more than the \d+ training seq"):
        run(name, "tiny", overrides=made.external_config_dict, output=tmp_path / "a")
    assert not (tmp_path / "a").exists()
