"""LightGCN's graph propagation: the mean over layers, without learned weights."""

import warnings
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from recbole_intent.utils.errors import UserError

# The parts of a sparse CSR matrix: row starts, columns, values.
_PARTS = ("start", "column", "value")


class MeanPropagation(nn.Module):
    """E = 1 / (L + 1) Σ_l A^l E^(0), l = 0 .. L: the mean over the layers of LightGCN.

    Each layer is torch-geometric's `LGConv`. The backward pass is one more propagation, over the
    transposed graph, and no intermediate layer is kept for it.

    Args:
        adjacency: A (N, N), sparse CSR, normalised; not learned and not in `state_dict`.
        n_layers: L >= 0; 0 returns the vectors unchanged.

    Shapes: E^(0) (N, d) -> E (N, d).

    Raises:
        UserError: torch-geometric is not installed.
        ValueError: `adjacency` is not square or not CSR, or `n_layers` is negative.

    Source: He et al., LightGCN (SIGIR 2020), equations (3) and (4) with α_l = 1 / (L + 1).
    """

    adjacency_value: Tensor

    def __init__(self, adjacency: Tensor, n_layers: int) -> None:
        super().__init__()
        try:
            from torch_geometric.nn import LGConv
        except ImportError as error:
            raise UserError(
                "graph propagation needs torch-geometric (extra graph): pip install torch-geometric"
            ) from error
        if adjacency.layout != torch.sparse_csr or adjacency.shape[0] != adjacency.shape[1]:
            raise ValueError(f"adjacency: a square sparse CSR matrix: {adjacency.shape}")
        if n_layers < 0:
            raise ValueError(f"n_layers: {n_layers} is below 0")
        self.n_layers = n_layers
        self.convolution = LGConv(normalize=False)
        self.n_nodes = len(adjacency)
        self._keep("adjacency", adjacency)
        transposed = _transposed(adjacency)
        # An undirected graph is its own transpose and needs no second copy.
        self.is_symmetric = _is_same(adjacency, transposed)
        if not self.is_symmetric:
            self._keep("transposed", transposed)

    def forward(self, x: Tensor, value: Tensor | None = None) -> Tensor:
        """Compute E from `x`.

        Args:
            x: E^(0) (N, d).
            value: edge weights for this call only, in the order of the matrix's values; only for
                an undirected graph, and equal in both directions.

        Raises:
            ValueError: `value` for a directed graph.
        """
        if self.n_layers == 0:
            return x
        if value is not None and not self.is_symmetric:
            raise ValueError("other weights of edges are defined for an undirected graph alone")
        return _Propagate.apply(x.to(self.adjacency_value.dtype), self, value)

    def propagate(self, x: Tensor, transposed: bool, value: Tensor | None = None) -> Tensor:
        """The mean over layers along the graph, or along its transpose; not differentiable."""
        which = "transposed" if transposed and not self.is_symmetric else "adjacency"
        adjacency = self._matrix(which, value)
        total, layer = x.clone(), x
        # Sparse products do not support bf16, so autocast is switched off.
        with torch.autocast(x.device.type, enabled=False):
            for _ in range(self.n_layers):
                layer = self.convolution(layer, adjacency)
                total += layer
        return total.div_(self.n_layers + 1)

    def step(self, x: Tensor) -> Tensor:
        """A x, one layer without the mean: (N, d) -> (N, d), differentiable."""
        return _Step.apply(x.to(self.adjacency_value.dtype), self)

    def multiply(self, x: Tensor, transposed: bool) -> Tensor:
        """A x, or Aᵀ x; not differentiable."""
        which = "transposed" if transposed and not self.is_symmetric else "adjacency"
        with torch.autocast(x.device.type, enabled=False):
            return self.convolution(x, self._matrix(which))

    def _keep(self, name: str, matrix: Tensor) -> None:
        # Stored as parts, because torch can neither copy nor pickle a sparse buffer.
        for part, values in zip(_PARTS, _parts(matrix), strict=True):
            self.register_buffer(f"{name}_{part}", values, persistent=False)

    def _matrix(self, name: str, value: Tensor | None = None) -> Tensor:
        start, column, own = (self.get_buffer(f"{name}_{part}") for part in _PARTS)
        return _csr([start, column, own if value is None else value], self.n_nodes)


class _Propagate(torch.autograd.Function):
    # (Σ A^l)ᵀ = Σ (Aᵀ)^l. torch would transpose A again in the backward pass of each layer.
    @staticmethod
    def forward(ctx, x: Tensor, module: MeanPropagation, value: Tensor | None) -> Tensor:
        ctx.module, ctx.value = module, value
        return module.propagate(x, transposed=False, value=value)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.module.propagate(gradient.contiguous(), True, ctx.value), None, None


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, module: MeanPropagation) -> Tensor:
        ctx.module = module
        return module.multiply(x, transposed=False)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.module.multiply(gradient.contiguous(), transposed=True), None


def bipartite_adjacency(users: Tensor, items: Tensor, n_users: int, n_items: int) -> Tensor:
    """D^-½ A D^-½ of the graph of users and items; users come first.

    Args:
        users: (E,) int64 in 0 .. n_users - 1.
        items: (E,) int64 in 0 .. n_items - 1; pair e is an edge, and repeated pairs count once.
        n_users: U.
        n_items: V.

    Returns:
        (U + V, U + V) sparse CSR float32, symmetric. A node without an edge has an empty row.

    Raises:
        ValueError: an index out of range.

    Source: LightGCN, equations (6) to (8).
    """
    _check_range("users", users, n_users)
    _check_range("items", items, n_items)
    user, item = users.numpy(), items.numpy() + n_users
    rows, columns = np.concatenate([user, item]), np.concatenate([item, user])
    return _normalised(rows, columns, n_users + n_items)


def neighbour_adjacency(neighbours: Tensor, symmetric: bool = False) -> Tensor:
    """D^-½ S D^-½ of the neighbour graph: S_ij = 1 if j is a neighbour of i, or i = j.

    D_ii is the sum of row i of S: the number of nodes that i reads. The graph is directed, because
    i can be among the k nearest nodes of j without j being among those of i.

    Args:
        neighbours: (N, k) int64 in 0 .. N - 1; -1 for no neighbour.
        symmetric: S_ij = 1 also if i is a neighbour of j (not in the paper).

    Returns:
        (N, N) sparse CSR float32.

    Raises:
        ValueError: a neighbour outside -1 .. N - 1.

    Source: ISRF, equations (6) and (7).
    """
    n_nodes, k = neighbours.shape
    names = neighbours.numpy().ravel()
    own = np.arange(n_nodes)
    named = names >= 0
    _check_range("neighbours", torch.from_numpy(names[named]), n_nodes)
    rows, columns = np.repeat(own, k)[named], names[named]
    back = slice(None) if symmetric else slice(0)
    return _normalised(
        np.concatenate([rows, columns[back], own]),
        np.concatenate([columns, rows[back], own]),
        n_nodes,
    )


def _check_range(name: str, index: Tensor, n: int) -> None:
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < n:
        raise ValueError(f"{name} must lie in 0 .. {n - 1}")


def _normalised(rows: np.ndarray, columns: np.ndarray, n: int) -> Tensor:
    """D^-½ A D^-½ where A_ij = 1 for each pair and D is the diagonal of A's row sums."""
    A = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))  # adds up duplicates
    A.data[:] = 1
    degree = np.asarray(A.sum(axis=1)).ravel()
    scale = sp.diags(1 / np.sqrt(np.maximum(degree, 1)))
    return _to_torch((scale @ A @ scale).tocsr())


def _to_torch(matrix: sp.csr_matrix) -> Tensor:
    matrix.sort_indices()
    # A CPU's sparse product takes int32 indices without a copy, so use them if they suffice.
    kind = np.int32 if max(matrix.nnz, matrix.shape[0]) < 2**31 else np.int64
    parts = matrix.indptr.astype(kind), matrix.indices.astype(kind), matrix.data
    start, column, value = (torch.from_numpy(np.ascontiguousarray(part)) for part in parts)
    return _csr([start, column, value.float()], matrix.shape[0])


def _csr(parts: Sequence[Tensor], n: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        start, column, value = parts
        return torch.sparse_csr_tensor(start, column, value, (n, n), check_invariants=False)


def _parts(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return matrix.crow_indices(), matrix.col_indices(), matrix.values()


def _transposed(adjacency: Tensor) -> Tensor:
    start, column, value = (part.cpu().numpy() for part in _parts(adjacency))
    matrix = sp.csr_matrix((value, column, start), adjacency.shape)
    return _to_torch(matrix.T.tocsr()).to(adjacency.device, adjacency.dtype)


def _is_same(one: Tensor, other: Tensor) -> bool:
    pairs = [*zip(_parts(one), _parts(other), strict=True)]
    return all(torch.equal(a.long(), b.long()) for a, b in pairs[:2]) and torch.allclose(*pairs[2])
