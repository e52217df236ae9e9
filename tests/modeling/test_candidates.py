"""Scores of candidates: from the ranking of all items, pair by pair, and by a model's own way."""

import pytest
import torch
from recbole.model.abstract_recommender import GeneralRecommender

from recbole_intent.modeling.candidates import ScoresCandidates, candidate_scores, pair_scores
from recbole_intent.runs.experiment import build

OPTIONS = {
    "NCL": {"num_clusters": 5},
    "VELI4SBR": {"intents": "none"},
    "IGRSR": {"distiller_size": 8},
}


@pytest.mark.parametrize(
    "name",
    ["BPR", "LightGCN", "NCL", "SimpleX", "SASRec", "GRU4Rec", "BERT4Rec", "IGRSR", "VELI4SBR"],
)
def test_the_ranking_of_all_items_and_single_pairs_agree(tiny, tmp_path, name):
    given = {"task": "direct", "n_candidates": 20, "checkpoint_dir": str(tmp_path)}
    trainer, data = build(tiny(name, **given, **OPTIONS.get(name, {})))
    model = trainer.model.eval()
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    batch = next(iter(data.test))
    with torch.no_grad():
        asked = (model, batch.interaction, batch.candidates)
        gathered = candidate_scores(*asked, data.dataset.item_num, "item_id")
        pairs = pair_scores(*asked, "item_id")
    assert gathered.shape == (60, 21)
    assert gathered.std() > 1e-3
    torch.testing.assert_close(gathered, pairs, atol=1e-4, rtol=1e-4)


class Pairs(GeneralRecommender):
    """Scores pairs only: user + item / 100."""

    calls = 0

    def __init__(self):
        torch.nn.Module.__init__(self)

    def predict(self, interaction):
        self.calls += 1
        return interaction["user_id"] + interaction["item_id"] / 100

    def full_sort_predict(self, interaction):
        raise NotImplementedError


class Own(ScoresCandidates, Pairs):
    def score_candidates(self, interaction, candidates):
        return -candidates.float()


def rows(n: int):
    from recbole.data.interaction import Interaction

    return Interaction({"user_id": torch.arange(n), "item_id": torch.zeros(n).long()})


def test_a_model_that_scores_pairs_only_is_asked_for_pairs_in_parts(monkeypatch):
    monkeypatch.setattr("recbole_intent.modeling.candidates._PAIRS", 12)
    candidates = torch.randint(1, 90, (7, 5))
    model = Pairs()
    found = candidate_scores(model, rows(7), candidates, 90, "item_id")
    torch.testing.assert_close(found, torch.arange(7)[:, None] + candidates / 100)
    assert model.calls == 4  # two rows at a time


def test_a_model_with_its_own_way_is_asked_by_it():
    candidates = torch.randint(1, 90, (7, 5))
    found = candidate_scores(Own(), rows(7), candidates, 90, "item_id")
    assert torch.equal(found, -candidates.float())


def test_a_way_of_its_own_has_to_be_written():
    class Forgotten(ScoresCandidates, Pairs):
        pass

    with pytest.raises(TypeError, match="score_candidates"):
        Forgotten()
