"""A model that searches is told what is not wanted, and how many are."""

import pytest
import torch
from torch import nn

from recbole_intent.data.loading.loader import RankingBatch
from recbole_intent.modeling.searches import SearchesItems
from recbole_intent.runs.experiment import build


class Finds(SearchesItems, nn.Module):
    """The first `beams` items that are wanted, the lower their number the better."""

    beams = 3

    def search(self, interaction, excluded, k):
        scores = -torch.arange(41.0).expand(len(interaction), -1).clone()
        scores[:, 0] = -torch.inf
        if excluded is not None:
            scores[excluded] = -torch.inf
        last = scores.topk(max(self.beams, k)).values[:, -1:]
        return scores.masked_fill(scores < last, -torch.inf)


@pytest.fixture
def ranker(tiny):
    trainer, data = build(tiny("BPR"))
    trainer.model = Finds()
    return trainer, next(iter(data.test)).interaction[:3]


def test_what_a_ranking_leaves_out_is_not_searched_for_but_the_target_is(ranker):
    trainer, rows = ranker
    target = torch.tensor([5, 5, 30])
    user = rows["user_id"]
    plain = RankingBatch(rows, user, target, None)
    # Of 40 items 3 are found, and the target is one of 37 others: 3 + 38 / 2.
    assert trainer._ranks(plain, 41, 0)[0].tolist() == [22, 22, 22]
    history = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([1, 2, 5, 40, 1])
    # The first row's history holds the target itself, which is then the third that is found.
    masked = RankingBatch(rows, user, target, history)
    assert trainer._ranks(masked, 41, 0)[0].tolist() == [3, 21.5, 21.5]


def test_scores_are_of_as_many_as_are_wanted(ranker):
    trainer, rows = ranker
    for k, found in ((0, 3), (2, 3), (10, 10)):
        scores = trainer.scores(rows, 41, None, k)
        assert ((scores > -torch.inf).sum(1) == found).all()
