"""Propagation over graphs: the sparse path equals the plain formula on dense matrices."""

import copy
import sys

import pytest
import torch

from recbole_intent.nn.graph import MeanPropagation, bipartite_adjacency, neighbour_adjacency
from recbole_intent.utils.errors import UserError


def dense_normalised(A: torch.Tensor) -> torch.Tensor:
    degree = A.sum(1)
    scale = torch.where(degree > 0, degree.rsqrt(), torch.zeros(()))
    return scale[:, None] * A * scale


def dense_bipartite(users, items, n_users, n_items) -> torch.Tensor:
    A = torch.zeros(n_users + n_items, n_users + n_items)
    A[users, items + n_users] = 1
    A[items + n_users, users] = 1
    return dense_normalised(A)


def edges(seed=0):
    draw = torch.Generator().manual_seed(seed)
    # Row 0 of both is padding, without an edge; some pairs come twice.
    return torch.randint(1, 7, (30,), generator=draw), torch.randint(1, 9, (30,), generator=draw)


def plain_mean(A: torch.Tensor, x: torch.Tensor, n_layers: int) -> torch.Tensor:
    layers = [x]
    for _ in range(n_layers):
        layers.append(A @ layers[-1])
    return torch.stack(layers).mean(0)


def test_bipartite_adjacency_counts_each_edge_once():
    users, items = edges()
    assert len(set(zip(users.tolist(), items.tolist(), strict=True))) < len(users)
    found = bipartite_adjacency(users, items, 7, 9)
    torch.testing.assert_close(found.to_dense(), dense_bipartite(users, items, 7, 9))
    assert not found.to_dense()[0].any()


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_step_and_its_gradient_are_those_of_the_dense_matrix(symmetric):
    adjacency = neighbour_adjacency(torch.tensor([[1, 2], [2, 0], [3, -1], [2, 2]]), symmetric)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.arange(12.0).view(4, 3)
    found, plain = MeanPropagation(adjacency, 2).step(x), adjacency.to_dense() @ x
    torch.testing.assert_close(found, plain)
    gradients = [torch.autograd.grad((out * weight).sum(), x)[0] for out in (found, plain)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("symmetric", [False, True])
def test_neighbour_adjacency_is_the_formula_and_holds_each_node_itself(symmetric):
    neighbours = torch.tensor([[1, 2], [2, 0], [3, -1], [2, 2]])
    S = torch.eye(4)
    for i, row in enumerate(neighbours.tolist()):
        for j in row:
            if j >= 0:
                S[i, j] = 1
                S[j, i] = 1 if symmetric else S[j, i]
    found = neighbour_adjacency(neighbours, symmetric).to_dense()
    torch.testing.assert_close(found, dense_normalised(S))
    assert torch.equal(found, found.T) == symmetric


@pytest.mark.parametrize("n_layers", [0, 1, 4])
def test_values_and_gradients_are_those_of_the_dense_formula(n_layers):
    users, items = edges()
    A = dense_bipartite(users, items, 7, 9)
    propagation = MeanPropagation(bipartite_adjacency(users, items, 7, 9), n_layers)
    x = torch.randn(16, 5, requires_grad=True)
    weight = torch.randn(16, 5)
    expected = plain_mean(A, x, n_layers)
    found = propagation(x)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad((weight * y).sum(), x)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_a_directed_graph_has_the_gradient_of_its_transpose():
    A = torch.rand(6, 6) * (torch.rand(6, 6) < 0.4)
    propagation = MeanPropagation(A.to_sparse_csr(), 3)
    assert not propagation.is_symmetric
    x = torch.randn(6, 2, requires_grad=True)
    weight = torch.randn(6, 2)
    gradients = [
        torch.autograd.grad((weight * y).sum(), x)[0] for y in (propagation(x), plain_mean(A, x, 3))
    ]
    torch.testing.assert_close(*gradients)


def test_gradcheck_in_float64():
    users, items = edges()
    propagation = MeanPropagation(bipartite_adjacency(users, items, 7, 9), 2).double()
    x = torch.randn(16, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(propagation, x)


def test_the_graph_is_no_weight_and_survives_a_copy():
    propagation = MeanPropagation(neighbour_adjacency(torch.tensor([[1], [2], [0]])), 2)
    assert not list(propagation.parameters())
    assert not propagation.state_dict()
    x = torch.randn(3, 4)
    assert torch.equal(copy.deepcopy(propagation)(x), propagation(x))


def test_under_autocast_it_stays_in_full_precision():
    propagation = MeanPropagation(neighbour_adjacency(torch.tensor([[1], [2], [0]])), 2)
    x, weight = torch.randn(3, 4, requires_grad=True), torch.randn(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = propagation(x)
        coarse = propagation(x @ weight)
    assert torch.equal(found, propagation(x))
    (found.sum() + coarse.sum()).backward()
    assert coarse.dtype == x.grad.dtype == torch.float32


def test_a_relabelling_of_nodes_relabels_the_result():
    neighbours = torch.tensor([[1, 3], [2, 0], [3, 4], [2, 0], [1, 0]])
    order = torch.tensor([3, 0, 4, 1, 2])  # new number i is old number order[i]
    new_number = order.argsort()
    x = torch.randn(5, 3)
    one = MeanPropagation(neighbour_adjacency(neighbours), 3)(x)
    other = MeanPropagation(neighbour_adjacency(new_number[neighbours[order]]), 3)(x[order])
    torch.testing.assert_close(other, one[order])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: bipartite_adjacency(torch.tensor([7]), torch.tensor([0]), 7, 9), "users must lie"),
        (lambda: bipartite_adjacency(torch.tensor([0]), torch.tensor([-1]), 7, 9), "items must"),
        (lambda: neighbour_adjacency(torch.tensor([[2], [0]])), "neighbours must lie in 0 .. 1"),
        (lambda: MeanPropagation(torch.eye(3), 1), "square sparse CSR"),
        (lambda: MeanPropagation(torch.eye(3).to_sparse_csr(), -1), "n_layers: -1"),
    ],
)
def test_what_is_no_graph_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    with pytest.raises(UserError, match=r"extra graph"):
        MeanPropagation(torch.eye(3).to_sparse_csr(), 1)


def test_other_weights_serve_once_and_both_ways():
    users, items = edges()
    model = MeanPropagation(bipartite_adjacency(users, items, 7, 9), 3)
    value = model.adjacency_value * 0.5
    x = torch.randn(16, 3, requires_grad=True)
    A = dense_bipartite(users, items, 7, 9)
    weigh = torch.randn(16, 3)
    for found, dense in ((model(x, value), A / 2), (model(x), A)):
        plain = plain_mean(dense, x, 3)
        torch.testing.assert_close(found, plain)
        gradients = [torch.autograd.grad((out * weigh).sum(), x)[0] for out in (found, plain)]
        torch.testing.assert_close(*gradients)


def test_other_weights_of_a_directed_graph_are_refused():
    A = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).to_sparse_csr()
    with pytest.raises(ValueError, match="undirected"):
        MeanPropagation(A, 2)(torch.ones(2, 1), torch.ones(1))
