"""The fused losses equal the plain formulas, in value and in gradients."""

import math

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.nn.losses import info_nce, linear_cross_entropy, soft_target_alignment


def make_inputs(n_rows, n_items, width, seed=0, dtype=torch.float32, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n_rows, width, generator=generator, dtype=dtype) * scale
    weight = torch.randn(n_items, width, generator=generator, dtype=dtype)
    target = torch.randint(0, n_items, (n_rows,), generator=generator)
    sample_weight = torch.rand(n_rows, generator=generator, dtype=dtype) / n_rows
    return hidden.requires_grad_(), weight.requires_grad_(), target, sample_weight


def plain_cross_entropy(hidden, weight, target, sample_weight=None, temperature=1.0):
    logits = hidden @ weight.t() / temperature
    if sample_weight is None:
        return F.cross_entropy(logits, target)
    return (sample_weight * F.cross_entropy(logits, target, reduction="none")).sum()


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_plain_formula_for_random_sizes_chunks_and_weights(seed):
    draw = torch.Generator().manual_seed(1000 + seed)
    n_rows, n_items, width, chunk_size = (
        int(torch.randint(1, high, (), generator=draw)) for high in (40, 300, 20, 50)
    )
    inputs = make_inputs(n_rows, n_items, width, seed)
    hidden, weight, target, sample_weight = inputs
    sample_weight = sample_weight if seed % 2 else None
    temperature = 0.5 if seed % 3 else 1.0

    expected = plain_cross_entropy(hidden, weight, target, sample_weight, temperature)
    # An upstream factor shows that the kept gradients are scaled in the backward pass.
    expected_grads = torch.autograd.grad(3 * expected, (hidden, weight))
    loss = linear_cross_entropy(
        hidden,
        weight,
        target,
        sample_weight=sample_weight,
        temperature=temperature,
        chunk_size=chunk_size,
    )
    grads = torch.autograd.grad(3 * loss, (hidden, weight))

    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.1, 0.9])
@pytest.mark.parametrize("chunk_size", [3, None])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_label_smoothing_is_torchs(smoothing, chunk_size, temperature):
    hidden, weight, target, sample_weight = make_inputs(16, 50, 8, dtype=torch.float64)
    logits = hidden @ weight.t() / temperature
    plain = F.cross_entropy(logits, target, label_smoothing=smoothing)
    each = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
    for weights, expected in ((None, plain), (sample_weight, (sample_weight * each).sum())):
        wanted = torch.autograd.grad(expected, (hidden, weight), retain_graph=True)
        loss = linear_cross_entropy(
            hidden,
            weight,
            target,
            sample_weight=weights,
            temperature=temperature,
            label_smoothing=smoothing,
            chunk_size=chunk_size,
        )
        grads = torch.autograd.grad(loss, (hidden, weight))
        torch.testing.assert_close((loss, *grads), (expected, *wanted), rtol=0, atol=1e-12)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(smoothing):
    hidden, weight, target, _ = make_inputs(4, 5, 3)
    with pytest.raises(ValueError, match="label_smoothing"):
        linear_cross_entropy(hidden, weight, target, label_smoothing=smoothing)


@pytest.mark.parametrize("chunk_size", [1, 7, 8, 9, 16, 17, None])
def test_chunk_boundaries_do_not_show(chunk_size):
    hidden, weight, target, _ = make_inputs(16, 50, 8, dtype=torch.float64)
    expected = plain_cross_entropy(hidden, weight, target)
    expected_grads = torch.autograd.grad(expected, (hidden, weight))
    loss = linear_cross_entropy(hidden, weight, target, chunk_size=chunk_size)
    grads = torch.autograd.grad(loss, (hidden, weight))
    torch.testing.assert_close((loss, *grads), (expected, *expected_grads), rtol=0, atol=1e-12)


def test_gradcheck_in_float64_with_respect_to_all_three_inputs():
    hidden, weight, target, sample_weight = make_inputs(5, 11, 3, dtype=torch.float64)

    def loss(hidden, weight, sample_weight):
        return linear_cross_entropy(
            hidden, weight, target, sample_weight=sample_weight, temperature=0.7, chunk_size=2
        )

    assert torch.autograd.gradcheck(loss, (hidden, weight, sample_weight.requires_grad_()))


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e4])
def test_tiny_and_huge_logits_stay_exact_and_finite(scale):
    hidden, weight, target, _ = make_inputs(20, 100, 16, scale=scale)
    expected = plain_cross_entropy(hidden, weight, target)
    expected_grads = torch.autograd.grad(expected, (hidden, weight))
    loss = linear_cross_entropy(hidden, weight, target, chunk_size=6)
    grads = torch.autograd.grad(loss, (hidden, weight))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert torch.isfinite(grad).all()
        torch.testing.assert_close(grad, expected_grad, rtol=1e-4, atol=1e-6 * max(1, scale))


def test_a_row_of_a_hundred_thousand_items():
    hidden, weight, target, _ = make_inputs(3, 100_000, 4)
    expected = plain_cross_entropy(hidden, weight, target)
    loss = linear_cross_entropy(hidden, weight, target)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("learns", ["hidden", "weight"])
def test_gradient_reaches_exactly_what_learns(learns):
    hidden, weight, target, _ = make_inputs(6, 20, 4)
    expected = torch.autograd.grad(
        plain_cross_entropy(hidden, weight, target), hidden if learns == "hidden" else weight
    )[0]
    hidden.requires_grad_(learns == "hidden")
    weight.requires_grad_(learns == "weight")
    linear_cross_entropy(hidden, weight, target).backward()
    assert (hidden.grad is None) == (learns != "hidden")
    assert (weight.grad is None) == (learns != "weight")
    grad = hidden.grad if learns == "hidden" else weight.grad
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-7)


def test_without_gradients_only_the_loss_is_computed():
    hidden, weight, target, _ = make_inputs(6, 20, 4)
    with torch.no_grad():
        loss = linear_cross_entropy(hidden, weight, target)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, plain_cross_entropy(hidden, weight, target).detach())


def test_a_slice_of_an_embedding_gets_its_gradient_and_the_rest_none():
    items = torch.nn.Embedding(21, 4)
    hidden, _, target, _ = make_inputs(6, 20, 4)
    linear_cross_entropy(hidden, items.weight[1:], target).backward()
    assert items.weight.grad[0].abs().sum() == 0
    assert items.weight.grad[1:].abs().sum() > 0


def test_under_bf16_autocast_it_still_sums_in_float32():
    hidden, weight, target, _ = make_inputs(32, 200, 16)
    expected = linear_cross_entropy(hidden, weight, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(hidden, weight, target)
        of_half = linear_cross_entropy(hidden.bfloat16(), weight, target)
    assert loss.dtype == of_half.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)
    of_half.backward()
    assert hidden.grad.dtype == weight.grad.dtype == torch.float32


def test_it_can_be_compiled_into_one_graph():
    hidden, weight, target, _ = make_inputs(20, 50, 8)
    expected = torch.autograd.grad(
        linear_cross_entropy(hidden, weight, target, chunk_size=8), (hidden, weight)
    )
    compiled = torch.compile(linear_cross_entropy, backend="aot_eager", fullgraph=True)
    loss = compiled(hidden, weight, target, chunk_size=8)
    grads = torch.autograd.grad(loss, (hidden, weight))
    torch.testing.assert_close(grads, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available())
def test_on_every_device_and_strip_it_is_the_same(device):
    hidden, weight, target, sample_weight = make_inputs(70, 500, 16)
    on_cpu = linear_cross_entropy(hidden, weight, target, sample_weight=sample_weight)
    cpu_grads = torch.autograd.grad(on_cpu, (hidden, weight))
    there = linear_cross_entropy(
        hidden.to(device),
        weight.to(device),
        target.to(device),
        sample_weight=sample_weight.to(device),
        chunk_size=32,
    )
    grads_there = torch.autograd.grad(there, (hidden, weight))
    torch.testing.assert_close(there.cpu(), on_cpu, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grads_there, cpu_grads, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": torch.zeros(0, 4), "target": torch.zeros(0, dtype=torch.long)}, "no rows"),
        ({"hidden": torch.zeros(3, 5)}, "do not fit"),
        ({"target": torch.zeros(2, dtype=torch.long)}, "target"),
        ({"sample_weight": torch.ones(4)}, "sample_weight"),
        ({"temperature": 0.0}, "temperature"),
        ({"chunk_size": 0}, "chunk_size"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message):
    arguments = {
        "hidden": torch.zeros(3, 4),
        "weight": torch.zeros(7, 4),
        "target": torch.zeros(3, dtype=torch.long),
    } | change
    with pytest.raises(ValueError, match=message):
        linear_cross_entropy(**arguments)


def plain_info_nce(view_1, view_2, temperature, group):
    """Equation (10), row by row."""
    total = 0.0
    for i in range(len(view_1)):
        cosine = F.cosine_similarity(view_1[i][None], view_2, dim=1)
        others = [j for j in range(len(view_2)) if j == i or group[j] != group[i]]
        denominator = sum(math.exp(cosine[j] / temperature) for j in others)
        total -= math.log(math.exp(cosine[i] / temperature) / denominator)
    return total / len(view_1)


@pytest.mark.parametrize("group", [[0, 1, 2, 3, 4, 5], [7, 3, 7, 7, 5, 3]])
def test_info_nce_is_equation_10(group):
    view_1, view_2 = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1)).double()
    loss = info_nce(view_1, view_2, 0.2, group=torch.tensor(group))
    assert float(loss) == pytest.approx(plain_info_nce(view_1, view_2, 0.2, group), abs=1e-9)
    both = info_nce(view_1, view_2, 0.2, group=torch.tensor(group), symmetric=True)
    back = plain_info_nce(view_2, view_1, 0.2, group)
    assert float(both) == pytest.approx((float(loss) + back) / 2, abs=1e-9)


def test_inner_products_take_the_place_of_cosines():
    view_1, view_2 = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1)).double()
    loss = info_nce(view_1, view_2, 0.5, similarity="dot")
    torch.testing.assert_close(loss, F.cross_entropy(view_1 @ view_2.T / 0.5, torch.arange(6)))
    units = F.normalize(view_1, dim=1), F.normalize(view_2, dim=1)
    torch.testing.assert_close(
        info_nce(*units, 0.5, similarity="dot"), info_nce(view_1, view_2, 0.5)
    )


def plain_nt_xent(view_1, view_2, temperature, group):
    """Each of the 2 B vectors against all others, of other classes, by inner product."""
    vectors, group = torch.cat([view_1, view_2]), [*group, *group]
    n, total = len(vectors), 0.0
    for i in range(n):
        positive = (i + n // 2) % n
        others = [j for j in range(n) if j == positive or group[j] != group[i]]
        logits = {j: float(vectors[i] @ vectors[j]) / temperature for j in others}
        total += math.log(sum(map(math.exp, logits.values()))) - logits[positive]
    return total / n


@pytest.mark.parametrize("group", [None, [0, 1, 2, 3, 4, 5], [7, 3, 7, 7, 5, 3]])
def test_both_ways_and_within_views_it_is_nt_xent(group):
    views = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1)).double()
    given = None if group is None else torch.tensor(group)
    options = {"symmetric": True, "within": True, "similarity": "dot"}
    loss = info_nce(*views, 0.7, group=given, **options)
    expected = plain_nt_xent(*views, 0.7, group or range(6))
    assert float(loss) == pytest.approx(expected, abs=1e-9)


def test_vectors_of_one_class_are_no_negatives_in_their_own_view_either():
    views = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(2)).requires_grad_()
    loss = info_nce(*views, 0.1, group=torch.zeros(5).long(), symmetric=True, within=True)
    assert loss == 0
    loss.backward()
    assert views.grad.abs().sum() == 0


def test_rows_of_one_user_do_not_push_each_other_apart():
    view_1, view_2 = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(2))
    view_2.requires_grad_()
    same_user = torch.tensor([4, 4, 4, 4, 4])
    loss = info_nce(view_1, view_2, 0.1, group=same_user)
    assert loss == 0
    loss.backward()
    assert view_2.grad.abs().sum() == 0


def test_info_nce_of_parts_with_the_others_as_negatives_is_that_of_the_whole():
    """Value and gradients; rows of one user in two parts are no negatives either."""
    views = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(2)).double()
    users = torch.tensor([1, 1, 2, 3, 2, 4, 4])
    whole_views = views.clone().requires_grad_()
    whole = info_nce(*whole_views, 0.3, group=users)
    whole.backward()
    part_views, total = views.clone().requires_grad_(), 0
    for mine in (torch.tensor([0, 2, 4, 6]), torch.tensor([1, 3, 5])):
        rest = torch.tensor([i for i in range(7) if i not in mine])
        own = part_views[:, mine]
        others = (part_views[1, rest], users[rest])
        part = info_nce(own[0], own[1], 0.3, group=users[mine], others=others)
        total = total + len(mine) / 7 * part
    total.backward()
    assert total.item() == pytest.approx(whole.item(), abs=1e-12)
    torch.testing.assert_close(part_views.grad, whole_views.grad)
    nobody = (torch.empty(0, 4).double(), users[:0])
    assert float(info_nce(*views, 0.3, group=users, others=nobody)) == pytest.approx(whole.item())


def test_info_nce_gradient_reaches_both_views_and_ignores_their_length():
    view_1, view_2 = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(3))
    view_1.requires_grad_()
    view_2.requires_grad_()
    loss = info_nce(view_1, view_2, 0.5)
    loss.backward()
    assert view_1.grad.abs().sum() > 0
    assert view_2.grad.abs().sum() > 0
    torch.testing.assert_close(info_nce(3 * view_1, 0.5 * view_2, 0.5), loss)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(info_nce(view_1[order], view_2[order], 0.5), loss)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"view_2": torch.zeros(3, 5)}, "views"),
        ({"view_1": torch.zeros(0, 4), "view_2": torch.zeros(0, 4)}, "no rows"),
        ({"temperature": 0.0}, "temperature"),
        ({"group": torch.zeros(2)}, "group"),
        ({"others": (torch.ones(1, 4), torch.ones(1))}, "others need the rows' group"),
        (
            {"others": (torch.ones(1, 4), torch.ones(1)), "group": torch.ones(3), "within": True},
            "others need",
        ),
        ({"similarity": "euclid"}, "similarity must be cos or dot"),
    ],
)
def test_info_nce_refuses_what_does_not_fit(change, message):
    arguments = {"view_1": torch.ones(3, 4), "view_2": torch.ones(3, 4), "temperature": 1.0}
    with pytest.raises(ValueError, match=message):
        info_nce(**(arguments | change))


def test_soft_targets_are_those_of_the_views_and_stand_still():
    x, y = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = soft_target_alignment(x, y)
    target = ((x @ x.t() + y @ y.t()) / 2).softmax(1).detach()
    both = (x @ y.t(), y @ x.t())
    plain = sum(-(target * logits.log_softmax(1)).sum(1).mean() / 2 for logits in both)
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(
        torch.autograd.grad(loss, (x, y)), torch.autograd.grad(plain, (x, y))
    )
    order = torch.tensor([3, 1, 5, 4, 0, 2])
    torch.testing.assert_close(soft_target_alignment(x[order], y[order]), loss)
    for bad in ((x, y[:5]), (x[:0], y[:0]), (x[0], y[0])):
        with pytest.raises(ValueError, match="views"):
            soft_target_alignment(*bad)
