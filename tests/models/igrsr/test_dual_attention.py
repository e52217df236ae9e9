"""The reasoner: equations (5)-(7) written out, causality, and its short cuts."""

import math

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.models.igrsr.dual_attention import (
    Attention,
    DualAttentionLayer,
    DualAttentionReasoner,
)
from recbole_intent.models.igrsr.intents import IntentProjection, mask_intents

B, N, M, D = 3, 6, 4, 8


def _reasoner(**options) -> DualAttentionReasoner:
    torch.manual_seed(0)
    reasoner = DualAttentionReasoner(2, D, 2, **options).eval()
    for parameter in reasoner.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return reasoner


def _inputs() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(B, N, D), torch.randn(B, M, D)


def _attend(module: Attention, x, context, hidden=None):
    """Multi-head attention in loops over heads."""
    q = module.query(x)
    k, v = module.key_value(context).chunk(2, dim=-1)
    e, parts = D // module.n_heads, []
    for head in range(module.n_heads):
        part = slice(head * e, (head + 1) * e)
        scores = q[..., part] @ k[..., part].mT / math.sqrt(e)
        if hidden is not None:
            scores = scores.masked_fill(hidden, float("-inf"))
        parts.append(scores.softmax(-1) @ v[..., part])
    return module.dense(torch.cat(parts, dim=-1))


@pytest.mark.parametrize("norm", ["paper", "sasrec"])
def test_layer_equals_equations_written_out(norm):
    layer, (H, T_D) = _reasoner(norm=norm).layers[0], _inputs()
    future = torch.ones(N, N).triu(1).bool()
    H_cross = layer.cross_norm(H + _attend(layer.cross_attention, H, T_D))
    H_self = layer.self_norm(H_cross + _attend(layer.self_attention, H_cross, H_cross, future))
    ffn = layer.dense_2(F.gelu(layer.dense_1(H_self)))
    expected = F.layer_norm(H_self + ffn, (D,), layer.norm.weight, layer.norm.bias, 1e-12)
    mask = torch.zeros(N, N).masked_fill(future, float("-inf"))
    torch.testing.assert_close(layer(H, T_D, mask), expected, atol=1e-5, rtol=1e-5)
    n_norms = sum(isinstance(module, torch.nn.LayerNorm) for module in layer.modules())
    assert n_norms == (1 if norm == "paper" else 3)


def test_causality_and_padding_independence():
    reasoner, (H, T_D) = _reasoner(), _inputs()
    later = H.clone()
    later[:, 4:] = 7.0
    out = reasoner(H, T_D)
    torch.testing.assert_close(reasoner(later, T_D)[:, :4], out[:, :4])
    torch.testing.assert_close(reasoner(H[:, :4], T_D), out[:, :4], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(reasoner(later, T_D)[:, 4:], out[:, 4:])


@pytest.mark.parametrize("norm", ["paper", "sasrec"])
@pytest.mark.parametrize("scope", ["prefix", "causal", "none"])
def test_last_only_equals_full(norm, scope):
    reasoner, (H, T_D) = _reasoner(norm=norm, use_cross=scope != "none"), _inputs()
    T_D = {"prefix": T_D, "causal": torch.randn(B, N, M, D), "none": None}[scope]
    full = reasoner(H, T_D)
    last = torch.tensor([0, 5, 3])
    several = torch.tensor([[0, 1], [5, 5], [2, 4]])
    row = torch.arange(B)
    torch.testing.assert_close(reasoner(H, T_D, last), full[row, last], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        reasoner(H, T_D, several), full[row[:, None], several], atol=1e-6, rtol=1e-5
    )


def test_same_intents_at_each_position_equal_prefix_scope():
    reasoner, (H, T_D) = _reasoner(), _inputs()
    each = T_D.unsqueeze(1).expand(B, N, M, D)
    torch.testing.assert_close(reasoner(H, each), reasoner(H, T_D), atol=1e-6, rtol=1e-5)


def test_own_intents_move_only_later_positions():
    reasoner, (H, _) = _reasoner(), _inputs()
    T_D = torch.randn(B, N, M, D)
    moved = T_D.clone()
    moved[:, 3] += 1.0
    before, after = reasoner(H, T_D), reasoner(H, moved)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert (before[:, 3] - after[:, 3]).abs().max() > 1e-3


def test_order_of_intents_does_not_matter():
    reasoner, (H, T_D) = _reasoner(), _inputs()
    shuffled = T_D[:, [2, 0, 3, 1]]
    torch.testing.assert_close(reasoner(H, shuffled), reasoner(H, T_D), atol=1e-6, rtol=1e-5)


def test_without_cross_attention_has_no_parameters_of_it():
    reasoner, (H, T_D) = _reasoner(use_cross=False), _inputs()
    assert not any("cross" in name for name, _ in reasoner.named_parameters())
    torch.testing.assert_close(reasoner(H, T_D), reasoner(H))


def test_dropout_acts_in_training_only_and_follows_the_seed():
    reasoner, (H, T_D) = _reasoner(dropout=0.5, attn_dropout=0.5), _inputs()
    torch.testing.assert_close(reasoner(H, T_D), reasoner(H, T_D))
    reasoner.train()
    torch.manual_seed(5)
    first, second = reasoner(H, T_D), reasoner(H, T_D)
    torch.manual_seed(5)
    assert torch.equal(reasoner(H, T_D), first)
    assert not torch.allclose(first, second)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="n_heads 3"):
        DualAttentionLayer(8, 3)
    with pytest.raises(ValueError, match="norm"):
        DualAttentionLayer(8, 2, norm="post")


def test_projection_and_masks():
    torch.manual_seed(0)
    T_D = IntentProjection(4, D)(torch.randn(B, 5, M, 4))
    assert T_D.shape == (B, 5, M, D)
    view, other = mask_intents(T_D, 0.5), mask_intents(T_D, 0.5)
    kept = view != 0
    torch.testing.assert_close(view[kept], T_D[kept])  # no rescale
    assert torch.equal(kept, kept[:, :1].expand_as(kept))  # one M of size m x d a sequence
    assert not torch.equal(kept[0], kept[1])  # fresh for each sequence
    assert not torch.equal(kept, other != 0)  # fresh for each view
    wide = mask_intents(torch.ones(500, M, D), 0.3)
    assert (wide == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
