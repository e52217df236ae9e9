"""RecBole's models through our batches: trimmed equals full width, ours equals RecBole's."""

import pytest
import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.model.sequential_recommender import BERT4Rec as RecBoleBERT4Rec
from recbole.model.sequential_recommender import GRU4Rec as RecBoleGRU4Rec
from recbole.model.sequential_recommender import SASRec as RecBoleSASRec

from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.data.loading.split import load_data
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.runs.experiment import build

SEQUENTIAL = [
    name
    for name in model_names()
    if issubclass(get_spec(name).model_class(), SequentialRecommender)
]
GENERAL = [name for name in model_names() if name not in SEQUENTIAL]
TRIMMED = [name for name in SEQUENTIAL if get_spec(name).trim]


def _random_weights(model: torch.nn.Module, std: float = 0.3) -> torch.nn.Module:
    """Weights large enough to tell models apart; those of padding too, as training makes them."""
    torch.manual_seed(7)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            torch.nn.init.normal_(parameter, std=std)
    return model


def _scores(model, interaction) -> torch.Tensor:
    """Of all items, or of the target where a model scores pairs only."""
    try:
        return model.full_sort_predict(interaction).view(len(interaction), -1)
    except NotImplementedError:
        return model.predict(interaction)


@pytest.mark.parametrize("name", TRIMMED)
def test_trimmed_rows_give_the_scores_of_full_ones(tiny, name):
    made = tiny(name, MAX_ITEM_LIST_LENGTH=10)
    train = load_data(made).train._dataset
    model = _random_weights(made.spec.model_class()(made, train)).eval()
    length = train.inter_feat["item_length"]
    rows = torch.cat([(length == n).nonzero().flatten()[:3] for n in (1, 2, 4, 6)])
    with torch.no_grad():
        trimmed = _scores(model, train.join(train.rows(rows)))
        full = _scores(model, train.join(train.rows(rows, 10)))
    assert trimmed.std() > 1e-3
    torch.testing.assert_close(trimmed, full, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", TRIMMED)
def test_trimmed_rows_give_the_loss_of_full_ones(tiny, name):
    data = load_data(tiny(name, MAX_ITEM_LIST_LENGTH=16))
    train, made = data.train._dataset, data.train.config
    model = _random_weights(made.spec.model_class()(made, train)).eval()  # without dropout
    short = min(data.train, key=lambda batch: batch["item_id_list"].size(1))
    wide = {
        key: F.pad(short[key], (0, 0) * (short[key].dim() - 2) + (0, 16 - short[key].size(1)))
        if key.endswith("_list")
        else short[key]
        for key in short
    }
    assert short["item_id_list"].size(1) < 16
    torch.manual_seed(0)
    trimmed = model.calculate_loss(short)
    torch.manual_seed(0)
    full = model.calculate_loss(Interaction(wide))
    for a, b in zip(*((x if isinstance(x, tuple) else (x,)) for x in (trimmed, full)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in model_names() if get_spec(name).splits])
def test_losses_that_may_be_split_are_means_over_rows(tiny, monkeypatch, name):
    """Loss and gradient of a batch are the weighted means of those of its parts."""
    monkeypatch.setattr(F, "dropout", lambda x, *_, **__: x)
    monkeypatch.setattr(FastDropout, "forward", lambda self, x: x)
    # Without what couples the rows of a batch, or is drawn for each batch anew.
    options = {"IGRSR": {"use_icr": False}, "VELI4SBR": {"loss_type": "CE"}}
    options["eSASRec"] = {"softmax": "full"}
    options["CaFe"] = {"next_item_loss": "CE"}
    options["FAPAT"] = {"gate_noise": False}
    made = tiny(name, **options.get(name, {}))
    if name in ("Caser", "GCSAN", "NextItNet"):  # their penalties are of weights, not of rows
        made["reg_weight"] = 1.0
    data = load_data(made)
    model = made.spec.model_class()(made, data.train._dataset)
    _random_weights(model).train()  # batch statistics, if any, would show

    def loss_and_gradient(batch: Interaction) -> tuple[torch.Tensor, torch.Tensor]:
        model.zero_grad(set_to_none=True)
        torch.manual_seed(0)  # GCMC draws a mask of the whole graph
        loss = model.calculate_loss(batch)
        loss = sum(loss) if isinstance(loss, tuple) else loss
        loss.backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        return loss.detach().reshape(()), torch.cat(gradients)

    batch = next(iter(data.train))
    whole = loss_and_gradient(batch)
    summed = [torch.zeros(()), torch.zeros_like(whole[1])]
    for first in range(3):
        columns = batch.interaction.items()
        part = Interaction({key: column[first::3].contiguous() for key, column in columns})
        for total, value in zip(summed, loss_and_gradient(part), strict=True):
            total += len(part) / len(batch) * value
    torch.testing.assert_close(summed[0], whole[0], rtol=1e-5, atol=1e-5)
    assert (summed[1] - whole[1]).abs().max() < 1e-5 * whole[1].abs().max()


def _assert_same(ours: torch.nn.Module, theirs: torch.nn.Module, batch: Interaction) -> None:
    """Equal losses, gradients and scores of two models with the same weights."""
    losses = [model.train().calculate_loss(batch) for model in (ours, theirs)]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-5)
    for loss in losses:
        loss.backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    for key, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[key], atol=1e-5, rtol=1e-4)

    with torch.no_grad():
        for score in ("full_sort_predict", "predict"):
            mine, other = (getattr(m.eval(), score)(batch).flatten() for m in (ours, theirs))
            torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}


@pytest.mark.parametrize(
    ("name", "reference", "dropout"),
    [("SASRec", RecBoleSASRec, NO_DROPOUT), ("GRU4Rec", RecBoleGRU4Rec, {"dropout_prob": 0.0})],
)
@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
def test_ours_is_recboles_weight_for_weight(config, ml100k, name, reference, dropout, loss_type):
    made = config(name, loss_type=loss_type, train_batch_size=200, **dropout)
    train = ml100k[0]
    ours, theirs = made.spec.model_class()(made, train), reference(made, train)
    assert type(ours) is not type(theirs)
    _random_weights(theirs, 0.1)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())

    batch = train.rows(torch.arange(0, 2000, 10), 20)
    batch.update(Interaction({"neg_item_id": batch["item_id"] % 1000 + 1}))
    _assert_same(ours, theirs, batch)


@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
def test_our_bert4rec_is_recboles_weight_for_weight(config, ml100k, loss_type):
    options = {"reference": "recbole", **NO_DROPOUT}  # ours scores otherwise, test_reference.py
    made = config("BERT4Rec", loss_type=loss_type, train_batch_size=200, **options)
    data = load_data(made)
    train = data.train._dataset
    ours, theirs = made.spec.model_class()(made, train), RecBoleBERT4Rec(made, train)
    assert type(ours) is not type(theirs)
    _random_weights(theirs, 0.1)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())

    # Histories of all lengths, some of one item.
    rows = train.rows(torch.cat([torch.arange(40), torch.arange(0, 20000, 50)]))
    batch = data.train.transform(train, train.join(rows))
    _assert_same(ours, theirs, batch)


def test_our_bert4rec_learns_nothing_from_a_batch_without_masks(tiny):
    made = tiny("BERT4Rec")
    data = load_data(made)
    model = made.spec.model_class()(made, data.train._dataset)
    batch = next(iter(data.train))
    batch["MASK_INDEX"] = torch.zeros_like(batch["MASK_INDEX"])
    loss = model.calculate_loss(batch)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_initial_weights_are_recboles(config, ml100k):
    """The same seed gives the same start, so that runs of both can be compared."""
    weights = []
    for model_class in (get_spec("SASRec").model_class(), RecBoleSASRec):
        torch.manual_seed(11)
        weights.append(model_class(config(), ml100k[0]).state_dict())
    assert weights[0].keys() == weights[1].keys()
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key]), key


@pytest.mark.parametrize("name", [n for n in model_names() if n != "SLIMElastic"])
def test_every_model_of_the_table_has_a_loss_on_ml100k(config, tiny, name):
    """All but SLIMElastic, which solves a problem an item in its constructor: seconds."""
    options = {"VELI4SBR": {"intents": "none"}, "NCL": {"num_clusters": 20}}
    no_texts = {"use_alignment_direct": False, "use_alignment_sequential": False}
    options["ISRF"] = {"semantics": "random", **no_texts}
    of_texts = name in (
        "LLM4SBR",
        "LLMESR",
        "RLMRec",
        "RLMRecSeq",
    )  # ml-100k has no vectors of texts
    made = (tiny if of_texts else config)(name, train_batch_size=64, **options.get(name, {}))
    data = load_data(made)
    torch.manual_seed(0)
    model = made.spec.model_class()(made, data.train._dataset)
    if name == "NCL":  # its trainer does, see tests/trainer/test_ncl.py
        model.e_step()
    loss = model.train().calculate_loss(next(iter(data.train)))  # SGL samples graphs in `train`
    loss = sum(loss) if isinstance(loss, tuple) else loss
    assert torch.isfinite(loss).all()
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize(
    "name", [*GENERAL, "SASRecF", "BERT4Rec", "Caser", "RepeatNet", "TransRec"]
)
def test_training_keeps_the_best_epoch_and_ranks_with_it(tiny, tmp_path, name):
    """Also when read from the checkpoint, with whatever the model keeps besides weights."""
    options = {"num_clusters": 5} if name == "NCL" else {}
    made = tiny(name, epochs=2, train_batch_size=128, **options)
    trainer, data = build(made, tmp_path)
    _, valid = trainer.fit(data.train, data.valid)
    assert all(0 <= value <= 1 for value in valid.values())
    trainer.load_best()
    assert trainer.evaluate(data.valid) == pytest.approx(valid)
    ranks = trainer.rank(data.test)
    assert len(ranks) == 60

    again, data = build(
        made.__class__(name, "tiny", config_dict=made.external_config_dict), tmp_path
    )
    again.load_best()
    assert (again.rank(data.test).rank == ranks.rank).all()


def test_untouched_path_gives_the_metrics_of_the_fast_one(tiny):
    fast, data = build(tiny())
    slow, slow_data = build(tiny(fast_sequences=False))
    assert type(slow.model) is RecBoleSASRec
    _random_weights(fast.model)
    slow.model.load_state_dict(fast.model.state_dict())
    assert fast.evaluate(data.valid) == pytest.approx(slow.evaluate(slow_data.valid))
    slow.epochs = 1
    score, _ = slow.fit(slow_data.train, slow_data.valid)
    assert score > 0


def test_chunked_loss_is_cross_entropy_over_all_items(tiny):
    made = tiny(**NO_DROPOUT)
    train = load_data(made).train._dataset
    model = _random_weights(made.spec.model_class()(made, train), 0.1)
    batch = train.rows(torch.arange(30))
    hidden = model.forward(batch["item_id_list"], batch["item_length"])
    expected = F.cross_entropy(hidden @ model.item_embedding.weight.T, batch["item_id"])
    assert model.calculate_loss(batch).item() == pytest.approx(expected.item(), abs=1e-5)
