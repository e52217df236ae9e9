"""Relevance, the gate, and the losses of intents, against the paper's formulas written out."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.models.veli4sbr.intent_fusion import (
    FusionWithoutIntents,
    IntentFusion,
    decoupling_loss,
    intent_loss,
    orthogonal_loss,
)

N, C, D = 6, 7, 8


def _fusion(**options) -> IntentFusion:
    torch.manual_seed(0)
    return IntentFusion(C, D, **{"initializer_range": 0.7, **options})


def test_it_is_the_formula_written_out():
    fusion, h = _fusion().eval(), torch.randn(N, D)
    h_tilde, logits = fusion(h)
    for n in range(N):
        guidance = h[n].clone()
        q = fusion.query.weight @ h[n]
        for c, e in enumerate(fusion.intents):
            y_hat = torch.sigmoid(q @ (fusion.key.weight @ e))
            torch.testing.assert_close(logits[n, c].sigmoid(), y_hat)
            if y_hat > 0.5:
                guidance = guidance + y_hat * (fusion.value.weight @ e)
        torch.testing.assert_close(h_tilde[n], h[n] + F.layer_norm(guidance, (D,), eps=1e-12))
    assert 0 < (logits > 0).sum() < N * C  # some gates open, some closed


def test_only_intents_above_the_threshold_matter(monkeypatch):
    fusion, h = _fusion(threshold=0.6).eval(), torch.randn(N, D)
    values = fusion.value(fusion.intents).detach()
    monkeypatch.setattr(fusion.value, "forward", lambda _: values)
    before, logits = fusion(h)
    is_open = logits.sigmoid() > 0.6  # (N, C)
    assert 0 < is_open.sum() < N * C
    for c in range(C):
        kept = values[c].clone()
        values[c] += torch.randn(D)
        changed = (fusion(h)[0] - before).abs().amax(1) > 1e-6
        assert torch.equal(changed, is_open[:, c])
        values[c] = kept
    all_closed, _ = _fusion(threshold=1.0).eval()(h)
    torch.testing.assert_close(all_closed, h + F.layer_norm(h, (D,), eps=1e-12))


def test_a_closed_gate_passes_no_gradient_to_its_intent():
    fusion, h = _fusion(threshold=0.5).eval(), torch.randn(1, D)
    h_tilde, logits = fusion(h)
    h_tilde.square().sum().backward()
    reached = fusion.intents.grad.abs().amax(1) > 0
    assert torch.equal(reached, logits[0] > 0)


def test_several_positions_at_once_are_as_each_alone():
    fusion, h = _fusion().eval(), torch.randn(3, 4, D)
    h_tilde, logits = fusion(h)
    assert logits.shape == (3, 4, C)
    torch.testing.assert_close(h_tilde[1, 2], fusion(h[1, 2])[0])


def test_intent_loss_is_the_mean_over_the_pool_of_labelled_rows():
    torch.manual_seed(0)
    logits, labels = torch.randn(N, C, requires_grad=True), torch.rand(N, C)
    has_labels = torch.tensor([True, False, True, True, False, True])
    loss = intent_loss(logits, labels, has_labels)
    y_hat = logits.sigmoid()
    of_row = -(labels * y_hat.log() + (1 - labels) * (1 - y_hat).log()).mean(1)
    torch.testing.assert_close(loss, (of_row * has_labels).sum() / N)
    loss.backward()
    assert torch.equal(logits.grad.abs().sum(1) > 0, has_labels)
    assert intent_loss(logits, labels, torch.zeros(N, dtype=torch.bool)).item() == 0


def test_decoupling_is_minus_the_mean_squared_distance_of_pairs():
    torch.manual_seed(0)
    intents = torch.randn(C, D, requires_grad=True)
    unit = F.normalize(intents, dim=1)
    pairs = [(unit[i] - unit[j]).square().sum() for i in range(C) for j in range(C) if i != j]
    torch.testing.assert_close(decoupling_loss(intents), -torch.stack(pairs).mean())
    alike = torch.ones(C, D) * torch.arange(1, C + 1)[:, None]
    assert decoupling_loss(alike).item() == pytest.approx(0, abs=1e-6)
    opposite = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
    assert decoupling_loss(opposite).item() == pytest.approx(-4)
    assert decoupling_loss(intents[:1]).item() == 0


def test_orthogonal_is_the_mean_squared_cosine_of_pairs():
    torch.manual_seed(0)
    intents = torch.randn(C, D, requires_grad=True)
    cosine = F.cosine_similarity(intents[:, None], intents[None], dim=2)
    pairs = [cosine[i, j] ** 2 for i in range(C) for j in range(C) if i != j]
    torch.testing.assert_close(orthogonal_loss(intents), torch.stack(pairs).mean())
    assert orthogonal_loss(torch.eye(C, D)).item() == pytest.approx(0, abs=1e-6)
    assert orthogonal_loss(intents[:1]).item() == 0


def test_the_papers_decoupling_leaves_intents_together_that_orthogonal_parts():
    """Two opposite bundles of alike intents: an optimum of the one, the worst case of the other."""
    torch.manual_seed(0)
    line = torch.randn(D)
    planted = torch.stack([line, line, line, -line, -line, -line]) + 0.01 * torch.randn(6, D)

    def nearest_pair(loss) -> float:
        intents = planted.clone().requires_grad_()
        optimizer = torch.optim.Adam([intents], lr=0.02)
        for _ in range(300):
            optimizer.zero_grad()
            loss(intents).backward()
            optimizer.step()
        cosine = F.cosine_similarity(intents[:, None], intents[None], dim=2)
        return (cosine - 2 * torch.eye(6)).max().item()

    assert decoupling_loss(planted) == pytest.approx(-2 * 6 / 5, abs=1e-3)  # its least
    assert nearest_pair(decoupling_loss) > 0.95
    assert nearest_pair(orthogonal_loss) < 0.1


def test_fusion_without_intents_is_the_fusion_whose_gates_are_closed():
    fusion, h = _fusion(threshold=1.0).eval(), torch.randn(N, D)
    torch.testing.assert_close(FusionWithoutIntents(D).eval()(h), fusion(h)[0])
