"""The prefix tree of items: what may follow a prefix, and what lies below it."""

import pytest
import torch

from recbole_intent.models.generative.trie import Trie

# Item 0 is padding; "5" is a prefix of "5 6" but for its eos, 1.
SEQUENCES = torch.tensor(
    [[0, 0, 0, 0], [5, 6, 1, 0], [7, 5, 5, 1], [5, 1, 0, 0], [7, 5, 8, 1], [9, 1, 0, 0]]
)


def random_sequences(n_items: int, depth: int, n_tokens: int, seed: int) -> torch.Tensor:
    """Different items (n, depth + 1) of 1 .. depth tokens from 2 .. n_tokens + 1, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, n_tokens + 2, (3 * n_items, depth), generator=generator)
    length = torch.randint(1, depth + 1, (3 * n_items, 1), generator=generator)
    place = torch.arange(depth)
    tokens = tokens.masked_fill(place == length, 1).masked_fill(place > length, 0)
    tokens = torch.cat((tokens, (length == depth).long()), dim=1).unique(dim=0)
    return tokens[torch.randperm(len(tokens), generator=generator)[:n_items]]


def walk(trie: Trie, node: int = 0) -> dict[tuple[int, ...], int]:
    """Each sequence that can be written from a node on, with its item."""
    children, is_child = trie.next_nodes(torch.tensor(node))
    written = {}
    for child in children[is_child].tolist():
        token = int(trie.token[child])
        if trie.item[child] >= 0:
            written[(token,)] = int(trie.item[child])
        written |= {(token, *rest): item for rest, item in walk(trie, child).items()}
    return written


def plain(sequences: torch.Tensor) -> dict[tuple[int, ...], int]:
    rows = [tuple(token for token in row if token != 0) for row in sequences.tolist()]
    return {row: item for item, row in enumerate(rows) if row}


@pytest.mark.parametrize(
    "sequences",
    [
        SEQUENCES,
        torch.tensor([[1]]),
        torch.tensor([[4, 4, 4, 1, 0, 0]]),
        torch.tensor([[item, 1] for item in torch.randperm(30).add(2).tolist()]),
        random_sequences(40, 4, 3, seed=0),
        random_sequences(200, 3, 20, seed=1),
    ],
)
def test_the_trie_writes_the_items_and_nothing_else(sequences):
    trie = Trie(sequences)
    assert walk(trie) == plain(sequences)
    assert trie.depth == max(map(len, plain(sequences)))
    assert trie.n_items == len(sequences)


def test_other_tokens_may_stand_for_padding_and_eos():
    moved = Trie(
        torch.where(SEQUENCES == 0, 31, torch.where(SEQUENCES == 1, 30, SEQUENCES)), 31, 30
    )
    expected = {(*row[:-1], 30): item for row, item in plain(SEQUENCES).items()}
    assert walk(moved) == expected


def test_children_of_many_prefixes_at_once():
    trie = Trie(SEQUENCES)
    nodes = torch.tensor([[0, 1], [trie.some_leaf, 2]])
    children, is_child = trie.next_nodes(nodes)
    assert is_child.sum(dim=2).tolist() == [[3, 2], [0, 1]]
    assert trie.token[children[0, 0]].tolist() == [5, 7, 9]
    assert trie.token[children[0, 1, :2]].tolist() == [1, 6]
    assert (children[~is_child] == trie.some_leaf).all()
    assert trie.item[trie.some_leaf] >= 0
    only_leaves, is_child = trie.next_nodes(torch.tensor([trie.some_leaf]))
    assert only_leaves.shape == (1, 1)
    assert not is_child.any()


def test_ranges_hold_the_items_below_a_node_and_paths_lead_to_them():
    sequences = random_sequences(60, 4, 3, seed=2)
    trie = Trie(sequences)
    for node in range(len(trie.token)):
        below = trie.order[trie.low[node] : trie.high[node]].tolist()
        assert sorted(below) == sorted(walk(trie, node).values() or [int(trie.item[node])])
        assert sorted(below) == (trie.path == node).any(dim=1).nonzero().squeeze(1).tolist()
    for row, item in plain(sequences).items():
        path = trie.path[item]
        assert path[0] == 0
        assert trie.token[path[1 : len(row) + 1]].tolist() == list(row)
        assert (path[len(row) + 1 :] == -1).all()
        assert trie.item[path[len(row)]] == item
    assert torch.equal(trie.order[trie.rank], torch.arange(60))


def test_unfinished_prefixes_and_their_widest_fan_by_length():
    trie = Trie(torch.nn.functional.pad(SEQUENCES, (0, 2)))  # needless columns change nothing
    assert trie.inner_nodes == [1, 3, 2, 2, 0]
    assert trie.fan == [3, 2, 2, 1, 0]
    of_eos_alone = Trie(torch.tensor([[1, 0, 0]]))
    assert (of_eos_alone.inner_nodes, of_eos_alone.fan) == ([1, 0], [1, 0])


def test_padding_is_no_item():
    trie = Trie(SEQUENCES)
    assert sorted(trie.order.tolist()) == [1, 2, 3, 4, 5]
    assert trie.rank[0] == 5
    assert (trie.path[0] == -1).all()


def test_it_moves_with_its_model_and_is_in_no_checkpoint():
    model = torch.nn.Module()
    model.trie = Trie(SEQUENCES)
    assert model.state_dict() == {}
    assert model.to("meta").trie.path.device.type == "meta"


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([[0, 0], [0, 0]], "at least one item"),
        ([[5, 0, 1]], "item 0 has padding within it"),
        ([[5, 1, 0], [0, 5, 1]], "item 1 has padding within it"),
        ([[5, 1], [6, 7]], "item 1 must end with its only eos token 1"),
        ([[5, 1, 1]], "item 0 must end with its only eos"),
        ([[1, 5, 1]], "item 0 must end with its only eos"),
        ([[5, 1], [6, 1], [5, 1]], "items 0 and 2 have the same sequence"),
    ],
)
def test_sequences_that_are_no_trie_are_refused(sequences, message):
    with pytest.raises(ValueError, match=message):
        Trie(torch.tensor(sequences))


@pytest.mark.parametrize("sequences", [torch.ones(3), torch.ones(3, 2), torch.ones(3).long()])
def test_other_shapes_and_types_are_refused(sequences):
    with pytest.raises(ValueError, match="int64"):
        Trie(sequences)
