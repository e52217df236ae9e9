"""What ISRF tells of users: interests in words, users alike, what they share."""

import json
import shutil

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.formats.text_vectors import read_text_vectors
from recbole_intent.data.loading.split import load_data
from recbole_intent.models.isrf.reasons import Reasons
from recbole_intent.models.isrf.semantics import user_vector_file
from recbole_intent.utils.errors import UserError


@pytest.fixture
def told(tiny, tiny_path, tmp_path):
    """A model on a `tiny` whose first users have profiles, its training split and a batch."""
    shutil.copytree(tiny_path / "tiny", tmp_path / "tiny")
    lines = [
        {"id": f"u{n}", "positive": "", "negative": "", "fused": f"steps of {n}", "source": "llm"}
        for n in range(5)
    ]
    plain = {"positive": "", "negative": "", "fused": "Items: Item 9", "source": "metadata"}
    lines.append({"id": "u5", **plain})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "tiny/tiny.user_profile").write_text(text)
    config = tiny("ISRF", data_path=str(tmp_path))
    data = load_data(config)
    torch.manual_seed(0)
    model = config.spec.model_class()(config, data.train._dataset).eval()
    return model, data.train._dataset, next(iter(data.valid)).interaction


def test_a_user_is_told_by_words_items_and_users_alike(told):
    model, dataset, batch = told
    names = dataset.field2id_token["user_id"]
    E = model.interests().detach()
    known = read_text_vectors(user_vector_file(model.config))
    place = {name: n for n, name in enumerate(known.ids.tolist())}
    for row, intents in enumerate(model.explain(batch, 2)):
        user = int(batch["user_id"][row])
        name = names[user]
        own, *alike = intents
        number = int(name[1:])
        assert own.weight == 1
        metadata = "metadata of the user's items: Items: Item 9"  # not taken for a model's words
        assert own.text == (f"steps of {number}" if number < 5 else [metadata, None][number > 5])
        history = {v for v in batch["item_id_list"][row].tolist() if v}
        cosines = {
            v: float(F.cosine_similarity(E[user], E[model.n_users + v], dim=0)) for v in history
        }
        best = sorted(cosines, key=lambda v: -cosines[v])[:2]
        assert [item for item, _ in own.items] == best
        assert len(alike) == 3
        weights = [intent.weight for intent in alike]
        assert weights == sorted(weights, reverse=True)
        z = known.vectors @ known.vectors[place[name]]
        z[place[name]] = -1
        assert weights[0] == pytest.approx(max(z.max(), 0), abs=1e-5)
        other = known.ids[z.argmax()]
        assert alike[0].text.startswith("like user u")
        assert z[place[alike[0].text.split()[2].rstrip(":")]] == pytest.approx(z[place[other]])


def test_the_words_are_those_that_the_users_vectors_are_of(told, tmp_path):
    model, dataset, _ = told
    path = tmp_path / "tiny/tiny.user_profile"
    words = {"positive": "quick steps", "negative": "", "fused": "steps", "source": "llm"}
    path.write_text(json.dumps({"id": "u1", **words}) + "\n")
    shutil.copy(user_vector_file(model.config), tmp_path / "tiny/tiny.user_text.llm.positive.npz")
    user = dataset.token2id("user_id", "u1")
    none = torch.zeros(1), torch.zeros(1, dtype=torch.long)
    for text in ("fused", "positive"):
        model.config["user_text"] = text
        assert Reasons(model.config, dataset).of(user, *none, 1)[0].text == words[text]


def test_what_two_users_share_is_in_both_trainings(told):
    model, dataset, _ = told
    reasons = Reasons(model.config, dataset)
    pairs = dataset.inter_matrix(form="csr")
    for user, other in ((1, 2), (7, 30), (60, 4)):
        sets = [
            {name for item in pairs[each].indices for name in reasons.categories[item]}
            for each in (user, other)
        ]
        shared = reasons.shared(user, other)
        assert len(shared) == min(3, len(sets[0] & sets[1]))
        assert set(shared) <= sets[0] & sets[1]


def test_new_histories_and_runs_without_texts_have_nothing_to_tell(told, tiny):
    model, dataset, batch = told
    del batch.interaction["user_id"]
    with pytest.raises(UserError, match="--explain: ISRF tells of users of the dataset"):
        model.explain(batch, 2)
    silent = {"use_alignment_direct": False, "use_alignment_sequential": False}
    for options in (silent, {"align_weight": 0}):
        with pytest.raises(UserError, match=r"trained without texts of users.*; train one with"):
            Reasons(tiny("ISRF", **options), dataset)
