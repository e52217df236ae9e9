"""Explicit and group interests: the mean over layers, hidden edges, what learns."""

import pytest
import torch

from recbole_intent.models.generative.interests import ExplicitInterest, RandomItems
from recbole_intent.models.isrf.interests import FrozenItems, GroupInterest, ItemAdapter

U, V, D = 6, 5, 4
USERS = torch.tensor([1, 1, 2, 3, 3, 3, 4, 5])
ITEMS = torch.tensor([1, 2, 2, 1, 3, 4, 4, 1])


def _explicit(users=USERS, items=ITEMS, n_layers=3) -> ExplicitInterest:
    torch.manual_seed(0)
    return ExplicitInterest(users, items, U, RandomItems(V, D, 1.0), V, D, n_layers, 2.0)


def _mean_of_layers(A: torch.Tensor, x: torch.Tensor, n_layers: int) -> torch.Tensor:
    scale = A.sum(1).clamp_min(1).rsqrt()
    A = scale[:, None] * A * scale
    layers = [x]
    for _ in range(n_layers):
        layers.append(A @ layers[-1])
    return torch.stack(layers).mean(0)


def test_explicit_interest_is_the_formula():
    model = _explicit()
    A = torch.zeros(U + V, U + V)
    A[USERS, U + ITEMS] = A[U + ITEMS, USERS] = 1
    x = torch.cat([model.user_vectors, model.item_vectors()])
    torch.testing.assert_close(model(), _mean_of_layers(A, x, 3))


@pytest.mark.parametrize("hidden", [[0], [3, 4], [0, 1, 2], list(range(8))])
def test_a_hidden_edge_is_one_that_is_not_there(hidden):
    keep = [n for n in range(8) if n not in hidden]
    model, without = _explicit(), _explicit(USERS[keep], ITEMS[keep])
    without.load_state_dict(model.state_dict())
    found = model((USERS[hidden], ITEMS[hidden]))
    torch.testing.assert_close(found, without())
    for one, loss in ((model, found.square().sum()), (without, without().square().sum())):
        one.zero_grad()
        loss.backward()
    torch.testing.assert_close(model.user_vectors.grad, without.user_vectors.grad)
    torch.testing.assert_close(model(), _explicit()())  # the next time it is there again


def test_pairs_without_an_edge_or_twice_change_nothing_more():
    model = _explicit()
    once = model((torch.tensor([1]), torch.tensor([2])))
    more = (torch.tensor([1, 1, 5, 2, 0]), torch.tensor([2, 2, 4, 1, 0]))
    assert torch.equal(model(more), once)


def test_adapter_learns_and_vectors_do_not():
    x = torch.randn(V, 3)
    adapter = ItemAdapter(x, D)
    first, _, second = adapter.layers
    torch.testing.assert_close(adapter(), second(first(x)))
    adapter().sum().backward()
    assert all(parameter.grad is not None for parameter in adapter.parameters())
    assert [name for name, _ in adapter.named_parameters()] == [
        "layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias",
    ]  # fmt: skip
    torch.testing.assert_close(ItemAdapter(x, D, "gelu").layers[1](x), torch.nn.functional.gelu(x))
    assert not list(FrozenItems(x).parameters())
    assert not adapter.state_dict().keys() & {"vectors"}  # read from files, not from checkpoints


@pytest.mark.parametrize("symmetric", [False, True])
def test_group_interest_is_the_formula_and_asks_for_users_alike_once(symmetric):
    asked = []

    def neighbours() -> torch.Tensor:
        asked.append(1)
        return torch.tensor([[-1, -1], [2, 3], [1, 3], [2, 1], [5, 1], [4, 1]])

    model = GroupInterest(U, D, 4, 1.0, neighbours, symmetric)
    assert not asked
    S = torch.eye(U)
    for user, others in enumerate(neighbours().tolist()):
        for other in others:
            if other >= 0:
                S[user, other] = 1
                S[other, user] = 1 if symmetric else S[other, user]
    asked.clear()
    torch.testing.assert_close(model(), _mean_of_layers(S, model.table, 4))
    model()
    assert len(asked) == 1
    assert list(model.state_dict()) == ["table"]
