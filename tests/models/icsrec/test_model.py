"""ICSRec: its losses, what they mask, its siblings, and a run that is killed."""

import pytest
import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction

from recbole_intent.data.loading.sequences import SAMPLE_FIELD
from recbole_intent.data.loading.split import load_data
from recbole_intent.models.icsrec.model import SIBLING, SIBLING_LENGTH
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.runs.experiment import build, run
from recbole_intent.utils.errors import UserError

NARROW = {"hidden_size": 8, "inner_size": 8, "n_layers": 1, "num_clusters": 4, "kmeans_redo": 1}


@pytest.fixture
def no_dropout(monkeypatch):
    monkeypatch.setattr(FastDropout, "forward", lambda self, x: x)


def _nt_xent(x, y, group):
    z, same = torch.cat([x, y]), group.repeat(2)
    logits = z @ z.T
    n = len(x)
    positive = (torch.arange(2 * n) + n) % (2 * n)
    is_kept = same[:, None] != same
    is_kept[torch.arange(2 * n), positive] = True
    return F.cross_entropy(logits.masked_fill(~is_kept, float("-inf")), positive)


def _started(tiny, **options):
    """A trainer at the beginning of its first epoch, and its first batch with siblings."""
    trainer, data = build(tiny("ICSRec", **{**NARROW, **options}))
    torch.manual_seed(3)
    for parameter in trainer.model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    trainer.seed_epoch(0, data.train)
    trainer.before_epoch(0, data.train)
    return trainer, data, next(iter(data.train))


@pytest.mark.parametrize("passes", ["all", 1])
def test_losses_are_those_of_the_paper(tiny, no_dropout, passes):
    trainer, _, batch = _started(tiny, coarse_weight=0.5, fine_weight=0.25, passes=passes)
    model = trainer.model
    rec, coarse, fine = trainer.losses(batch)
    h, target = model.encode_targets(batch)
    torch.testing.assert_close(rec, F.cross_entropy(h @ model.item_embedding.weight.T, target))
    sibling = model(batch[SIBLING], batch[SIBLING_LENGTH])
    assert len(sibling) == len(target)
    torch.testing.assert_close(coarse, 0.5 * _nt_xent(h, sibling, target))
    expected = 0
    for view in (h, sibling):
        cluster = torch.cdist(view, model.centres).argmin(1)
        assert len(cluster.unique()) > 1
        expected += _nt_xent(view, F.normalize(model.centres[cluster], dim=1), cluster)
    torch.testing.assert_close(fine, 0.25 * expected)


@pytest.mark.parametrize("passes", ["all", 1])
def test_siblings_are_other_rows_with_the_same_target(tiny, passes):
    trainer, data, batch = _started(tiny, passes=passes)
    trainer.losses(batch)
    samples = data.train_dataset.inter_feat
    numbers, target = batch[SAMPLE_FIELD], batch["item_id"]
    own = numbers[target > 0]
    assert torch.equal(samples["item_id"][own], target[target > 0])
    everything = data.train_dataset.rows(torch.arange(len(samples)))
    known = {}
    for items, length, item in zip(
        everything["item_id_list"].tolist(),
        everything["item_length"].tolist(),
        everything["item_id"].tolist(),
        strict=True,
    ):
        known.setdefault(item, []).append(items[:length])
    for row, length, item in zip(
        batch[SIBLING].tolist(),
        batch[SIBLING_LENGTH].tolist(),
        target[target > 0].tolist(),
        strict=True,
    ):
        assert row[:length] in known[item]


def test_without_weights_it_is_sasrec(tiny, no_dropout):
    off = {"coarse_weight": 0, "fine_weight": 0}
    trainer, _, batch = _started(tiny, **off)
    made = tiny(
        "SASRec", positions="end", **{k: v for k, v in NARROW.items() if "n_" in k or "size" in k}
    )
    sasrec = made.spec.model_class()(made, load_data(made).train._dataset)
    weights = trainer.model.state_dict()
    del weights["centres"]
    sasrec.load_state_dict(weights)
    (loss,) = trainer.losses(batch)
    torch.testing.assert_close(loss, sasrec.calculate_loss(batch))
    with pytest.raises(UserError, match="--explain: this ICSRec has no intents"):
        trainer.model.explain(batch, 2)


@pytest.mark.parametrize("off", ["coarse_weight", "fine_weight"])
def test_gradients_reach_all_that_learns(tiny, off):
    trainer, _, batch = _started(tiny, **{off: 0})
    parts = trainer.losses(batch)
    assert len(parts) == len(trainer.model.loss_names) == 2
    parts[1].backward()
    for name, parameter in trainer.model.named_parameters():
        assert parameter.grad is not None, name
    assert not trainer.model.centres.requires_grad


def test_explanation_is_the_nearest_centre_and_the_items_near_it(tiny):
    trainer, data, _ = _started(tiny)
    model = trainer.model.eval()
    data.test.batch_size = 60
    (batch,) = data.test
    found = model.explain(batch.interaction, 2)
    h = model(batch.interaction["item_id_list"], batch.interaction["item_length"])
    nearest = torch.cdist(h, model.centres).argmin(1)
    assert len({intents[0].text for intents in found}) == len(nearest.unique()) > 1
    for row, (intent,), cluster in zip(
        batch.interaction["item_id_list"], found, nearest, strict=True
    ):
        assert intent.text == f"cluster {cluster + 1}"
        table = F.cosine_similarity(model.item_embedding.weight, model.centres[cluster][None])
        expected = sorted({int(i) for i in row if i}, key=lambda i: -table[i])[:2]
        assert [item for item, _ in intent.items] == expected


OPTIONS = {**NARROW, "epochs": 3, "train_batch_size": 64}


def test_a_run_killed_in_or_after_an_e_step_goes_on_as_if_it_had_not_been(
    on_tiny, killed_run, ends_as_undisturbed
):
    options = {**on_tiny, **OPTIONS, "cluster_every": 2}
    folder = killed_run("ICSRec", options, "train 2/3", 1)
    ends_as_undisturbed("ICSRec", options, folder)


@pytest.mark.parametrize("stage", ["in the E-step", "between E-steps"])
def test_centres_are_the_same_after_a_cut(tiny, tmp_path, monkeypatch, stage):
    """Also when the process dies while it clusters."""
    options = {**OPTIONS, "cluster_every": 2}
    whole, data = build(tiny("ICSRec", **options))
    whole.fit(data.train, data.valid)

    first, data = build(tiny("ICSRec", **options), tmp_path)
    if stage == "between E-steps":
        first.epochs = 1
        first.fit(data.train, data.valid)
    else:
        calls = []
        vectors = first._vectors

        def dies(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return vectors(*arguments)

        monkeypatch.setattr(first, "_vectors", dies)
        with pytest.raises(KeyboardInterrupt):
            first.fit(data.train, data.valid)
    second, data = build(tiny("ICSRec", **options), tmp_path)
    second.fit(data.train, data.valid)
    assert [r["loss"] for r in second.history] == [r["loss"] for r in whole.history]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_more_clusters_than_sequences_are_refused(tiny, tmp_path):
    with pytest.raises(
        UserError, match=r"num_clusters: 9999 are more than the \d+ training sequences; give --num_"
    ):
        run("ICSRec", "tiny", overrides=_plain(tiny, num_clusters=9999), output=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_it_needs_is_named(tiny):
    with pytest.raises(UserError, match="fast_sequences: must be True for ICSRec"):
        build(tiny("ICSRec", fast_sequences=False, **NARROW))
    with pytest.raises(UserError, match="loss_type"):
        tiny("ICSRec", loss_type="BPR")


def _plain(tiny, **options):
    return {**tiny("ICSRec", **{**NARROW, **options}).external_config_dict}


def test_a_batch_of_a_single_row_has_a_loss(tiny, no_dropout):
    trainer, _, batch = _started(tiny)
    one = Interaction({name: column[:1] for name, column in batch.interaction.items()})
    assert torch.isfinite(sum(trainer.losses(one)))
