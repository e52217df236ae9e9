"""What every model must hold: one score for a user and an item, however it is asked."""

import pytest
import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction
from recbole.utils import ModelType

from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.data.loading.split import load_data
from recbole_intent.modeling.searches import SearchesItems
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.runs.experiment import build

OPTIONS = {"NCL": {"num_clusters": 5}}
TRADITIONAL = [
    name for name in model_names() if get_spec(name).model_class().type == ModelType.TRADITIONAL
]


def _random_weights(model: torch.nn.Module) -> None:
    """Weights under which every part of a model shows in its scores."""
    torch.manual_seed(7)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            torch.nn.init.normal_(parameter, std=0.2)


def _close(a: torch.Tensor, b: torch.Tensor, *, within: float = 1e-4) -> None:
    assert (a - b).abs().max() <= within * b.abs().max()


@pytest.mark.parametrize("name", model_names())
def test_a_pair_has_one_score(tiny, name):
    """`predict`, `full_sort_predict`, a batch of one user and a second call agree."""
    trainer, data = build(tiny(name, train_batch_size=128, epochs=1, **OPTIONS.get(name, {})))
    model, n_items = trainer.model.eval(), data.dataset.item_num
    if name in TRADITIONAL:
        trainer.fit(data.train, data.valid)
    else:
        _random_weights(model)
    data.test.batch_size = 60
    (whole,) = data.test
    scores = trainer.scores(whole.interaction, n_items)[:, 1:]
    assert torch.isfinite(scores).all()
    assert scores.std() > 0
    assert torch.equal(trainer.scores(whole.interaction, n_items)[:, 1:], scores)

    for item in (1, 7, n_items - 1):
        asked = Interaction(dict(whole.interaction.interaction))
        asked.update(Interaction({"item_id": torch.full((60,), item)}))
        with torch.no_grad():
            _close(model.predict(asked).view(-1).float(), scores[:, item - 1])

    rows = {int(user): row for row, user in enumerate(whole.user)}
    data.test.batch_size = 1
    for batch in list(data.test)[::6]:
        alone = trainer.scores(batch.interaction, n_items)[0, 1:]
        _close(alone, scores[rows[int(batch.user)]])


@pytest.mark.parametrize("name", TRADITIONAL)
def test_what_is_counted_does_not_depend_on_batches(tiny, name):
    """Nor on the negatives that RecBole's loader samples for them."""
    scores = []
    for size in (7, 64, 4096):
        made = tiny(name, train_batch_size=size)
        trainer, data = build(made)
        trainer.fit(data.train, data.valid)
        trainer.load_best()
        (batch,) = data.test
        scores.append(trainer.scores(batch.interaction, data.dataset.item_num))
    for other in scores[1:]:
        _close(other, scores[0], within=1e-6)


# Losses that are plain cross-entropy of the ranking's scores, or BPR of `predict`. Left out: those
# of masked items (BERT4Rec) or of probabilities (RepeatNet), and losses with terms of their own.
CROSS_ENTROPY = (
    "Caser CORE FDSA FOSSIL GCSAN GRU4Rec GRU4RecF HGN HRM LightSANs NARM NextItNet NPE SASRec "
    "SASRecF SHAN SINE SRGNN STAMP"
).split()
PAIRWISE = (
    "BPR Caser FDSA FOSSIL FPMC GCSAN GRU4Rec GRU4RecF HGN HRM LightGCN LightSANs NARM NCL "
    "NextItNet NGCF NPE SASRec SASRecF SHAN SINE SRGNN STAMP"
).split()
POINTWISE = "FISM NAIS NeuMF".split()


@pytest.mark.parametrize(
    ("name", "loss_type"),
    [
        *((name, "CE") for name in CROSS_ENTROPY),
        *((name, "BPR") for name in PAIRWISE),
        *((name, "BCE") for name in POINTWISE),
    ],
)
def test_the_loss_is_of_the_scores_that_rank(tiny, monkeypatch, name, loss_type):
    """Without dropout and penalties: what is trained is what is ranked by."""
    monkeypatch.setattr(F, "dropout", lambda x, *_, **__: x)
    monkeypatch.setattr(FastDropout, "forward", lambda self, x: x)
    options = dict(OPTIONS.get(name, {}))
    has_choice = "loss_type" in tiny(name, **options).final_config_dict
    if has_choice and loss_type in ("CE", "BPR"):
        options["loss_type"] = loss_type
    made = tiny(name, train_batch_size=128, **options)
    for key in ("reg_weight", "reg_weights"):
        weight = made.final_config_dict.get(key)
        if weight is not None:
            made[key] = [0.0] * len(weight) if isinstance(weight, list) else 0.0
    data = load_data(made)
    torch.manual_seed(0)
    model = made.spec.model_class()(made, data.train._dataset)
    _random_weights(model)
    if name == "NCL":
        model.e_step()
    batch = next(iter(data.train))
    loss = model.train().calculate_loss(batch)
    loss = loss[0] if isinstance(loss, tuple) else loss

    model.eval()
    with torch.no_grad():
        if loss_type == "CE":
            scores = model.full_sort_predict(batch).view(len(batch), -1)
            expected = F.cross_entropy(scores, batch["item_id"])
        elif loss_type == "BPR":
            negative = Interaction(dict(batch.interaction))
            negative.update(Interaction({"item_id": batch["neg_item_id"]}))
            margin = (model.predict(batch) - model.predict(negative)).view(-1)
            expected = -(1e-10 + margin.sigmoid()).log().mean()  # RecBole's guard against log 0
        else:
            scores = model.predict(batch).view(-1)
            if name != "FISM":  # the others' scores are probabilities
                scores = scores.double().logit()
            expected = F.binary_cross_entropy_with_logits(scores, batch["label"].to(scores))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_these_models_search_and_are_asked_otherwise():
    """`scores` of the test above takes `search` for them: no model escapes both ways."""
    searching = [n for n in model_names() if issubclass(get_spec(n).model_class(), SearchesItems)]
    assert searching == ["ELMRec", "ISRF", "P5", "POD", "RSL"]
