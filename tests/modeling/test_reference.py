"""Models that RecBole computes wrongly: ours are right, `reference: recbole` is RecBole's own."""

import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType, init_seed

from recbole_intent.config import registry
from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.data.loading.split import load_data
from recbole_intent.runs.experiment import build, run_folder
from recbole_intent.utils.errors import UserError

CORRECTED = [name for name in model_names() if get_spec(name).corrected]
NO_DROPOUT = {"BERT4Rec": {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}}


def _losses_and_scores(made, model_class) -> list[torch.Tensor]:
    """Loss of a batch, scores of all items, scores of the batch's items."""
    init_seed(3, True)
    data = load_data(made)
    init_seed(3, True)
    model = model_class(made, data.train._dataset)
    if model.type != ModelType.TRADITIONAL:
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    init_seed(4, True)
    batch = next(iter(data.train))
    loss = model.train().calculate_loss(batch)
    model.eval()
    init_seed(5, True)
    with torch.no_grad():
        scores = [model.full_sort_predict(batch), model.predict(batch)]
    return [x.detach().flatten().double() for x in (loss, *scores)]


@pytest.mark.parametrize("name", CORRECTED)
def test_recboles_way_is_kept_by_name(tiny, name):
    options = NO_DROPOUT.get(name, {}) | ({"loss_type": "BPR"} if name == "HGN" else {})
    old = tiny(name, reference="recbole", **options)
    recboles = _losses_and_scores(old, get_spec(name).model_class(fast=False))
    kept = _losses_and_scores(old, get_spec(name).model_class())
    for a, b in zip(kept, recboles, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    ours = _losses_and_scores(tiny(name, **options), get_spec(name).model_class())
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(ours, recboles, strict=True))


@pytest.mark.parametrize("name", CORRECTED)
def test_a_run_is_right_unless_it_asks_for_recboles(tiny, name):
    """Also on RecBole's own path of data; the two are different runs."""
    ours = get_spec(name).model_class()
    for options, expected in (
        ({}, ours),
        ({"fast_sequences": False}, ours),
        ({"reference": "recbole"}, ours),
        ({"reference": "recbole", "fast_sequences": False}, get_spec(name).model_class(False)),
    ):
        made = tiny(name, **options)
        trainer, data = build(made)
        assert type(trainer.model) is expected
        named = ["reference: recbole"] if "reference" in options else []
        assert trainer.approximations(data.train) == named  # in result.json and under tables
        assert made["model_class"] == f"{expected.__module__}:{name}"
    assert run_folder(tiny(name)) != run_folder(tiny(name, reference="recbole"))


def test_no_other_choice(tiny):
    with pytest.raises(
        UserError, match="reference: 'RecBole' is not one of ours, recbole; did you mean"
    ):
        tiny("Pop", reference="RecBole")
    with pytest.raises(UserError, match="unknown key"):  # computed as RecBole does
        tiny("SASRec", reference="recbole")


# ml-100k by leave-one-out: Pop's figures, found by counting with a loop outside this package.
POP = {
    "recall@5": 0.0255,
    "recall@10": 0.0498,
    "recall@20": 0.0795,
    "ndcg@5": 0.0144,
    "ndcg@10": 0.0224,
    "ndcg@20": 0.0299,
}


@pytest.mark.parametrize("size", [64, 2048, 8192])
def test_pop_counts_every_interaction_once(config, size):
    trainer, data = build(config("Pop", train_batch_size=size, seed=size))
    trainer.fit(data.train, data.valid)
    metrics = trainer.evaluate(data.test)
    assert {key: metrics[key] for key in POP} == pytest.approx(POP, abs=5e-5)


def _bert4rec(tiny, **options):
    made = tiny("BERT4Rec", MAX_ITEM_LIST_LENGTH=6, **options)
    data = load_data(made)
    torch.manual_seed(1)
    model = made.spec.model_class()(made, data.train._dataset)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def _asked(histories: list[list[int]], width: int) -> Interaction:
    rows = torch.zeros(len(histories), width, dtype=torch.long)
    for row, items in zip(rows, histories, strict=True):
        row[: len(items)] = torch.tensor(items)
    lengths = torch.tensor([len(items) for items in histories])
    return Interaction({"item_id_list": rows, "item_length": lengths})


def _changes(model, history: list[int], position: int) -> bool:
    """Whether the item at a position of a history matters to the scores."""
    other = [*history[:position], 33, *history[position + 1 :]]
    with torch.no_grad():
        a, b = (model.full_sort_predict(_asked([items], 6)) for items in (history, other))
    return bool((a - b).abs().max() > 1e-4)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_bert4rec_reads_the_whole_history(tiny, length):
    history = [3, 5, 7, 9, 11, 13][:length]
    model = _bert4rec(tiny)
    assert all(_changes(model, history, position) for position in range(length))
    old = _bert4rec(tiny, reference="recbole")
    assert not _changes(old, history, 0)
    # The same weights as RecBole's forward reads them: a mask behind the history.
    rows = _asked([[*history, model.mask_token]], 6)["item_id_list"]
    with torch.no_grad():
        states = get_spec("BERT4Rec").model_class(False).forward(model, rows)[0, length]
        table = model.item_embedding.weight[: model.n_items]
        expected = table @ states + model.output_bias
        scores = model.full_sort_predict(_asked([history], 6))[0]
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)


def test_bert4rec_gives_up_the_first_item_of_a_full_history(tiny):
    """The mask needs one of the N positions that were trained."""
    model, history = _bert4rec(tiny), [3, 5, 7, 9, 11, 13]
    assert not _changes(model, history, 0)
    assert all(_changes(model, history, position) for position in range(1, 6))
    with torch.no_grad():
        full, last = (
            model.full_sort_predict(_asked([items], 6)) for items in (history, history[1:])
        )
    torch.testing.assert_close(full, last, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [2, 3, 8])
def test_shan_ranks_by_the_last_items(tiny, length):
    """Its short term is the last two; RecBole ranks by padding in their place."""
    weights = {}
    for reference in ("ours", "recbole"):
        made = tiny("SHAN", reference=reference)
        torch.manual_seed(1)
        model = made.spec.model_class()(made, load_data(made).train._dataset).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        rows = _asked([[3, 5, 7, 9, 11, 13, 15, 17][:length]], 8)
        rows.update(Interaction({"user_id": torch.tensor([4])}))
        x = rows["item_id_list"]
        left = torch.roll(x, 8 - length, dims=1)
        with torch.no_grad():
            expected = model.forward(left, rows["user_id"]) @ model.item_embedding.weight.T
            weights[reference] = (model.full_sort_predict(rows) - expected).abs().max()
    assert weights["ours"] < 1e-5
    assert (weights["recbole"] > 1e-2) == (length < 8)  # a full history has no padding


def test_random_is_uniform_and_the_seeds_own(tiny):
    scores = {}
    for seed in (1, 2):
        made = tiny("Random", seed=seed)
        model = made.spec.model_class()(made, load_data(made).train._dataset)
        user = torch.arange(1, 61)
        scores[seed] = model.full_sort_predict(Interaction({"user_id": user})).view(60, -1)
    flat = scores[1].flatten()
    assert 0 <= flat.min() < flat.max() < 1
    assert flat.mean() == pytest.approx(0.5, abs=0.03)
    assert flat.std() == pytest.approx(12**-0.5, abs=0.02)
    assert len(flat.unique()) == len(flat)
    rows = torch.stack([scores[1].flatten(), scores[2].flatten()])
    assert torch.corrcoef(rows)[0, 1].abs() < 0.07
    assert torch.corrcoef(scores[1])[~torch.eye(60, dtype=bool)].abs().mean() < 0.2


def test_a_random_model_does_not_seed_the_process(tiny):
    made = tiny("Random")
    train = load_data(made).train._dataset
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    made.spec.model_class()(made, train)
    assert torch.equal(torch.rand(1), expected)


def test_every_corrected_model_names_its_reference():
    assert {"BERT4Rec", "Pop"} <= set(CORRECTED)
    for name in CORRECTED:
        spec = get_spec(name)
        assert spec.reference.startswith("recbole.model.")
        assert issubclass(spec.model_class(), spec.model_class(fast=False))
    assert registry.get_spec("SASRec").class_for(False, None).__module__.startswith("recbole.")
