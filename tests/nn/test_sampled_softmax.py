"""Sampled softmax: equal to the full one on all items, and samplers that draw as they say."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.nn.sampled_softmax import (
    IN_BATCH,
    LOG_UNIFORM,
    UNIFORM,
    NegativeSampler,
    sampled_cross_entropy,
)

V, N, D = 12, 5, 4
COUNTS = torch.tensor([0, 50, 3, 9, 1, 7, 7, 0, 30, 2, 2, 4])


@pytest.fixture
def parts():
    torch.manual_seed(1)
    hidden, weight = torch.randn(N, D, requires_grad=True), torch.randn(V, D, requires_grad=True)
    return hidden, weight, torch.tensor([1, 3, 3, 8, 11])


@pytest.mark.parametrize("shared", [True, False])
def test_all_items_as_negatives_are_the_full_softmax(parts, shared):
    hidden, weight, target = parts
    items = torch.arange(V)
    negatives = items if shared else items.expand(N, V)
    loss = sampled_cross_entropy(hidden, weight, target, negatives)
    full = F.cross_entropy(hidden @ weight.t(), target)
    torch.testing.assert_close(loss, full)
    found = torch.autograd.grad(loss, (hidden, weight))
    torch.testing.assert_close(found, torch.autograd.grad(full, (hidden, weight)))


def test_an_item_drawn_twice_counts_twice_and_the_target_never(parts):
    hidden, weight, target = parts
    loss = sampled_cross_entropy(hidden, weight, target, torch.tensor([3, 5, 5]))
    logits = hidden @ weight.t()
    rows = []
    for row, item in enumerate(target.tolist()):
        others = [other for other in (3, 5, 5) if other != item]
        rows.append(logits[row, [item, *others]].log_softmax(0)[0])
    torch.testing.assert_close(loss, -torch.stack(rows).mean())


@pytest.mark.parametrize("kind", [UNIFORM, LOG_UNIFORM])
@pytest.mark.parametrize("shared", [True, False])
def test_items_are_drawn_with_the_stated_probability(kind, shared):
    torch.manual_seed(2)
    sampler = NegativeSampler(kind, 40_000, shared, COUNTS)
    target = torch.ones(2, dtype=torch.long)
    drawn = sampler(target)
    assert drawn.shape == ((40_000,) if shared else (2, 40_000))
    share = torch.bincount(drawn.flatten(), minlength=V) / drawn.numel()
    assert share[0] == 0
    torch.testing.assert_close(share[1:], sampler.log_q[1:].exp(), atol=0.01, rtol=0)


def test_popular_items_are_drawn_more_often():
    log_q = NegativeSampler(LOG_UNIFORM, 1, False, COUNTS).log_q
    assert log_q[1] > log_q[8] > log_q[3] > log_q[7]


def test_in_batch_takes_the_targets_of_other_rows(parts):
    hidden, weight, target = parts
    sampler = NegativeSampler(IN_BATCH, 1, False, COUNTS)
    assert torch.equal(sampler(target), target)
    torch.testing.assert_close(sampler.log_q[1].exp(), torch.tensor(50 / 115))
    loss = sampled_cross_entropy(hidden, weight, target, sampler(target), sampler.log_q)
    assert torch.isfinite(loss)


def test_the_correction_brings_the_gradient_nearer_to_the_full_softmax():
    """Over many samples of popular negatives, against the gradient over all items."""
    torch.manual_seed(3)
    hidden, weight = torch.randn(N, D), torch.randn(V, D)
    target = torch.tensor([1, 3, 3, 8, 11])
    full = _gradient(lambda w: F.cross_entropy(hidden @ w[1:].t(), target - 1), weight)
    sampler = NegativeSampler(LOG_UNIFORM, 2000, True, COUNTS)
    negatives = sampler(target)
    plain, corrected = (
        _gradient(lambda w, q=q: sampled_cross_entropy(hidden, w, target, negatives, q), weight)
        for q in (None, sampler.log_q + torch.tensor(2000.0).log())
    )
    # The target itself is not sampled, so its own correction is that of a certain draw.
    assert (corrected - full).norm() < (plain - full).norm()


def _gradient(loss, weight):
    weight = weight.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(weight), weight)
    return found
