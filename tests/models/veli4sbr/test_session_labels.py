"""Labels and hard negatives by session."""

import torch

from recbole_intent.models.veli4sbr.session_labels import ENRICHED, LLM, NONE, SessionLabels

# Sessions 2, 3, 5 and 6 of 8; 3 and 6 have no intents, 2 and 5 no hard negatives.
USER = torch.tensor([2, 3, 5, 6])


def _labels() -> SessionLabels:
    return SessionLabels(USER, 8, [[0, 2], [], [1], []], 3, [[], [11, 12], [], [13]])


def test_labels_are_ones_where_the_llm_said_so():
    values, has_labels = _labels().of(torch.tensor([5, 2, 3, 5]))
    assert values.tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert has_labels.tolist() == [True, True, False, True]
    assert _labels().origin.tolist() == [LLM, NONE, LLM, NONE]


def test_enriched_labels_take_their_place():
    labels = _labels()
    labels.put(torch.tensor([1, 3]), torch.tensor([[0.25, 0.5, 0.75], [0.125, 0, 1]]))
    values, has_labels = labels.of(USER)
    assert values.tolist() == [[1, 0, 1], [0.25, 0.5, 0.75], [0, 1, 0], [0.125, 0, 1]]
    assert has_labels.all()
    assert labels.origin.tolist() == [LLM, ENRICHED, LLM, ENRICHED]


def test_hard_negatives_are_each_sessions_own_and_all_get_their_turn():
    torch.manual_seed(0)
    drawn = _labels().hard_negative(USER.repeat(100)).view(100, 4)
    assert [set(column.tolist()) for column in drawn.T] == [{0}, {11, 12}, {0}, {13}]
    none = SessionLabels(USER, 8, [[]] * 4, 3, [[]] * 4)
    assert none.hard_negative(USER).tolist() == [0, 0, 0, 0]
    assert not none.of(USER)[1].any()


def test_a_checkpoint_holds_labels_and_nothing_that_the_dataset_gives():
    labels, other = _labels(), _labels()
    labels.put(torch.tensor([0]), torch.rand(1, 3))
    state = labels.state_dict()
    assert set(state) == {"values", "origin"}
    other.load_state_dict(state)
    assert torch.equal(other.of(USER)[0], labels.of(USER)[0])
