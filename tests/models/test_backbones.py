"""Backbones are RecBole's models as encoders: padding, causality, and their own forward passes."""

import pytest
import torch
from recbole.model.sequential_recommender import BERT4Rec as RecBoleBERT4Rec

from recbole_intent.models.backbones import BACKBONES, CAUSAL, make_backbone
from recbole_intent.utils.errors import UserError

N = 7  # MAX_ITEM_LIST_LENGTH
CONFIG = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_",
    "MAX_ITEM_LIST_LENGTH": N,
    "device": "cpu",
    "n_layers": 2,
    "n_heads": 2,
    "inner_size": 16,
    "hidden_dropout_prob": 0.2,
    "attn_dropout_prob": 0.2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.3,
    "num_layers": 1,
}
SEQ = torch.tensor([[3, 9, 4, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]])
LENGTH = torch.tensor([3, 1, 7])


class _Dataset:
    def num(self, field):
        return 30


def _backbone(name: str):
    torch.manual_seed(0)
    return make_backbone(CONFIG | {"backbone": name}, _Dataset(), 8).eval()


@pytest.mark.parametrize("name", BACKBONES)
def test_vectors_of_items_give_what_items_give(name):
    backbone = _backbone(name)
    h = backbone.encode(backbone.item_embedding(SEQ), LENGTH)
    assert h.shape == (3, 8)
    assert h.std() > 0.05
    torch.testing.assert_close(h, backbone(SEQ, LENGTH))


@pytest.mark.parametrize("name", BACKBONES)
def test_neither_padding_nor_neighbours_matter(name):
    backbone = _backbone(name)
    h = backbone(SEQ, LENGTH)
    scribbled = torch.where(torch.arange(N) < LENGTH[:, None], SEQ, 8)
    torch.testing.assert_close(backbone(scribbled, LENGTH), h)
    torch.testing.assert_close(backbone(SEQ[:2, :3], LENGTH[:2]), h[:2])
    torch.testing.assert_close(backbone(SEQ[1:2, :1], LENGTH[1:2]), h[1:2])


@pytest.mark.parametrize("name", sorted(CAUSAL))
def test_several_lengths_at_once(name):
    backbone = _backbone(name)
    together = backbone(SEQ, torch.tensor([[1, 3], [1, 0], [7, 2]]))
    torch.testing.assert_close(together[:, 0], backbone(SEQ, torch.tensor([1, 1, 7])))
    torch.testing.assert_close(together[[0, 2], 1], backbone(SEQ[[0, 2]], torch.tensor([3, 2])))


def test_bert4rec_reads_the_state_at_a_mask_behind_the_history():
    """RecBole's own pass over the same items and mask, at the same weights."""
    backbone = _backbone("BERT4Rec")
    mask = backbone.mask_token
    rows = torch.tensor(
        [[3, 9, 4, mask, 0, 0, 0], [5, mask, 0, 0, 0, 0, 0], [2, 3, 4, 5, 6, 7, mask]]
    )
    states = RecBoleBERT4Rec.forward(backbone, rows)
    expected = states[torch.arange(3), torch.tensor([3, 1, 6])]
    torch.testing.assert_close(backbone(SEQ, LENGTH), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_all_that_it_has_learns(name):
    backbone = _backbone(name).train()
    backbone(SEQ, LENGTH).square().sum().backward()
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None, key


def test_what_cannot_be_is_named():
    with pytest.raises(UserError, match="n_heads: 3 does not divide the width 8"):
        make_backbone(CONFIG | {"backbone": "SASRec", "n_heads": 3}, _Dataset(), 8)
    make_backbone(CONFIG | {"backbone": "GRU4Rec", "n_heads": 3}, _Dataset(), 8)
