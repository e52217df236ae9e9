"""CaFe: its scores and losses, its categories, and a run that is killed."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.loading.categories import read_categories
from recbole_intent.data.loading.split import load_data
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

NARROW = {"hidden_size": 8, "inner_size": 8, "n_layers": 1}


@pytest.fixture
def make(tiny, monkeypatch):
    """A model with random weights and without dropout, its data, and a batch."""
    monkeypatch.setattr(FastDropout, "forward", lambda self, x: x)

    def make_model(**options):
        trainer, data = build(tiny("CaFe", **{**NARROW, "hidden_dropout_prob": 0.0, **options}))
        torch.manual_seed(3)
        for parameter in trainer.model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return trainer.model, data, next(iter(data.train))

    return make_model


@pytest.mark.parametrize("backbone", ["SASRec", "BERT4Rec", "GRU4Rec"])
def test_scores_add_those_of_the_item_and_of_its_category(make, backbone):
    unused = {"GRU4Rec": ("n_layers",)}.get(backbone, ())
    narrow = {key: value for key, value in NARROW.items() if key not in unused}
    model, _, batch = make(backbone=backbone, passes="all", **narrow)
    model.eval()
    seq, length = batch["item_id_list"], batch["item_length"]
    c = model.category_encoder(model.category_of[seq], length)
    h = model.item_encoder(seq, length) + c
    of_category = c @ model.categories.T
    expected = h @ model.items.T + of_category[:, model.category_of]
    torch.testing.assert_close(model.full_sort_predict(batch), expected)


@pytest.mark.parametrize("passes", ["all", 1])
def test_losses_are_of_the_next_item_and_of_its_category(make, passes):
    model, _, batch = make(next_item_loss="CE", category_weight=0.5, passes=passes)
    vectors, target = model.encode_targets(batch)
    h, c = vectors.chunk(2, dim=1)
    rec, category = model.calculate_loss(batch)
    torch.testing.assert_close(rec, F.cross_entropy(h @ model.items.T, target))
    labels = model.category_of[target]
    torch.testing.assert_close(category, 0.5 * F.cross_entropy(c @ model.categories.T, labels))
    (rec + category).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_binary_losses_have_a_negative_of_each_kind(make, monkeypatch):
    model, _, batch = make(category_weight=1)
    drawn = {}

    def first_other(target, n, count=1):
        drawn[n] = (target == 1).long()[:, None] + 1
        return drawn[n]

    monkeypatch.setattr("recbole_intent.models.cafe.model.random_others", first_other)
    vectors, target = model.encode_targets(batch)
    parts = zip(vectors.chunk(2, dim=1), (model.items, model.categories), strict=True)
    for loss, (hidden, table), label in zip(
        model.calculate_loss(batch), parts, (target, model.category_of[target]), strict=True
    ):
        good = (hidden * table[label]).sum(1)
        bad = (hidden * table[drawn[len(table)][:, 0]]).sum(1)
        expected = -(good.sigmoid().log() + (1 - bad.sigmoid()).log()).mean()
        torch.testing.assert_close(loss, expected)


def test_categories_are_of_the_item_file(make, tiny):
    """Item i<n> of `tiny` has the classes c<n % 3> and c<n % 5>."""
    expected = {
        "last": lambda n: f"c{n % 5}",
        "first": lambda n: f"c{n % 3}",
        "all": lambda n: " | ".join(dict.fromkeys([f"c{n % 3}", f"c{n % 5}"])),
    }
    for which, name_of in expected.items():
        made = tiny("CaFe", category=which)
        train = load_data(made).train._dataset
        names, category_of = read_categories(made, train)
        for item, number in zip(train.field2id_token["item_id"][1:], category_of[1:], strict=True):
            assert names[number - 1] == name_of(int(item[1:]))
        assert category_of[0] == 0


def test_explanation_is_the_likeliest_categories(make):
    model, _, batch = make(passes="all")
    model.eval()
    found = model.explain(batch, 3)
    c = model.category_encoder(model.category_of[batch["item_id_list"]], batch["item_length"])
    share = (c @ model.categories[1:].T).softmax(1)
    for row, (intents, history) in enumerate(zip(found, batch["item_id_list"], strict=True)):
        assert intents[0].text == model.intents[share[row].argmax()]
        assert sum(intent.weight for intent in intents) == pytest.approx(1, abs=1e-5)
        for intent in intents:
            own = [i for i in set(history.tolist()) if i and _name(model, i) == intent.text]
            nearest = [item for item, cosine in intent.items if cosine > 1 - 1e-5]
            assert set(nearest) == set(own) or len(nearest) == 3


def _name(model, item):
    return model.intents[model.category_of[item] - 1]


def test_what_is_missing_is_named(walks, tiny, tmp_path):
    with pytest.raises(
        UserError, match=r"walks\.item: no column of categories .*, which category_column: auto"
    ):
        build(walks("CaFe"))
    with pytest.raises(UserError, match=r"tiny\.item: no column of categories \(kind\)"):
        build(tiny("CaFe", category_column="kind"))


def test_a_run_killed_on_its_way_goes_on_as_if_it_had_not_been(
    on_tiny, killed_run, ends_as_undisturbed
):
    options = {**on_tiny, **NARROW}
    folder = killed_run("CaFe", options, "train 2/3", 1)
    ends_as_undisturbed("CaFe", options, folder)
