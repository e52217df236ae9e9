"""A trie of the token sequences of items, stored in flat arrays."""

import torch
from torch import Tensor, nn


class Trie(nn.Module):
    """A trie of all item identifiers: each path from the root to a leaf spells one item.

    Nodes are numbered level by level and, within a level, in the order of their sequences. So the
    children of a node are a range of nodes, and the items below a node are a range of `order`: the
    next tokens of any number of prefixes are looked up without a loop.

    Args:
        sequences: (N, T) int64, row i is the output sequence of item i: its tokens, `eos_token`,
            then `pad_token`. A row of padding only is not an item (RecBole's item 0).
        pad_token: fills up a row. T5's is 0.
        eos_token: ends every item and appears nowhere else. T5's is 1.

    Buffers (moved with the model, not in checkpoints), for M nodes with root 0:
        token: (M,) the last token of a node's prefix.
        first_child, n_children: (M,) its children are first_child .. first_child + n_children - 1.
        item: (M,) the item that ends here, -1 for an inner node.
        low, high: (M,) the items below a node are order[low:high].
        order: (n,) items in the order of their sequences; rank: (N,) its inverse, n for non-items.
        path: (N, T + 1) the nodes from the root to the item's leaf, then -1.

    Raises:
        ValueError: no items, a sequence that does not end with its only `eos_token`, padding
            within a sequence, or two items with the same sequence.
    """

    token: Tensor
    first_child: Tensor
    n_children: Tensor
    item: Tensor
    low: Tensor
    high: Tensor
    order: Tensor
    rank: Tensor
    path: Tensor

    def __init__(self, sequences: Tensor, pad_token: int = 0, eos_token: int = 1) -> None:
        super().__init__()
        _check(sequences, pad_token, eos_token)
        n_items = len(sequences)
        order = _lexicographic(sequences)
        length = (sequences != pad_token).sum(dim=1)
        order = order[length[order] > 0]
        rows, length = sequences[order], length[order]  # (n, T), shared prefixes are adjacent

        new = torch.ones_like(rows, dtype=torch.bool)
        new[1:] = (rows[1:] != rows[:-1]).int().cummax(dim=1).values > 0
        path = torch.full((len(rows), rows.size(1) + 1), -1, device=rows.device)
        path[:, 0] = 0
        none = order.new_zeros(1)
        token, parent, lows, highs = [none], [none], [none], [none + len(rows)]
        n_nodes, inner_nodes, fan = 1, [1], []
        for t in range(rows.size(1)):
            exists = t < length
            starts = (new[:, t] & exists).nonzero().squeeze(1)
            number = (new[:, t] & exists).cumsum(0) - 1  # index of the node in its level
            path[:, t + 1] = torch.where(exists, n_nodes + number, -1)
            token.append(rows[starts, t])
            parent.append(path[starts, t])
            fan.append(int(parent[-1].bincount().max()) if len(starts) else 0)
            lows.append(starts)
            highs.append(starts + number[exists].bincount(minlength=len(starts)))
            n_nodes += len(starts)
            inner_nodes.append(int((token[-1] != eos_token).sum()))
        while inner_nodes[-1] == inner_nodes[-2] == 0:  # columns of padding only
            inner_nodes.pop()

        self.n_items = n_items
        self.inner_nodes = inner_nodes
        """How many nodes go on, by the number of tokens written: 0 .. depth; the last is 0."""
        self.fan = [*fan, 0][: len(inner_nodes)]
        """How many tokens may follow a prefix at most, by the number of tokens written."""
        self.depth = len(inner_nodes) - 1
        """Tokens of the longest item, with its eos."""
        low = torch.cat(lows)
        n_children = torch.cat(parent)[1:].bincount(minlength=n_nodes)
        full_path = path.new_full((n_items, path.size(1)), -1)
        full_path[order] = path
        rank = order.new_full((n_items,), len(order))
        rank[order] = torch.arange(len(order), device=order.device)
        for name, buffer in {
            "token": torch.cat(token),
            "n_children": n_children,
            "first_child": 1 + n_children.cumsum(0) - n_children,
            "item": torch.where(n_children == 0, order[low], -1),
            "low": low,
            "high": torch.cat(highs),
            "order": order,
            "rank": rank,
            "path": full_path[:, : self.depth + 1],
        }.items():
            self.register_buffer(name, buffer, persistent=False)

        leaves = self.item >= 0
        twice = leaves & (self.high - self.low > 1)
        if twice.any():
            first = int(self.low[twice][0])
            one, other = self.order[first : first + 2].tolist()
            raise ValueError(f"items {one} and {other} have the same sequence")

    def next_nodes(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Children (..., C) of nodes (...), and a mask of the valid entries.

        C is the largest number of children of any of the nodes, at least 1. Invalid entries hold
        some leaf.
        """
        counts = self.n_children[nodes].unsqueeze(-1)
        place = torch.arange(max(1, int(counts.max())), device=nodes.device)
        is_child = place < counts
        children = self.first_child[nodes].unsqueeze(-1) + place
        return torch.where(is_child, children, self.some_leaf), is_child

    @property
    def some_leaf(self) -> int:
        """A node without children: the last."""
        return len(self.token) - 1


def _lexicographic(sequences: Tensor) -> Tensor:
    """Indices (N,) that sort the rows lexicographically, starting with the first column."""
    order = torch.arange(len(sequences), device=sequences.device)
    for column in reversed(range(sequences.size(1))):
        order = order[sequences[order, column].argsort(stable=True)]
    return order


def _check(sequences: Tensor, pad_token: int, eos_token: int) -> None:
    """Raise ValueError if a row is not a sequence of tokens, eos and padding."""
    if sequences.dim() != 2 or sequences.dtype != torch.long:
        raise ValueError(
            f"sequences must be (N, T) int64, not {tuple(sequences.shape)} {sequences.dtype}"
        )
    is_token = sequences != pad_token
    if not is_token.any():
        raise ValueError("a trie needs at least one item: all sequences are padding")
    gap = (~is_token[:, :-1] & is_token[:, 1:]).any(dim=1)
    if gap.any():
        raise ValueError(f"the sequence of item {int(gap.nonzero()[0])} has padding within it")
    length = is_token.sum(dim=1)
    last = sequences.gather(1, (length - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    n_eos = (sequences == eos_token).sum(dim=1)
    wrong = (length > 0) & ((last != eos_token) | (n_eos != 1))
    if wrong.any():
        item = int(wrong.nonzero()[0])
        raise ValueError(
            f"the sequence of item {item} must end with its only eos token {eos_token}: "
            f"{sequences[item].tolist()}"
        )
