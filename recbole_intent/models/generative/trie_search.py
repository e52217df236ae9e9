"""Beam search for T5 constrained to a trie of items, and exact item scores.

The score of an item is T5's own log-probability of its tokens and its eos: each token's softmax is
over T5's whole vocabulary, not over the tokens that the trie allows.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recbole_intent.models.generative.tree_decoder import TreeDecoder
from recbole_intent.models.generative.trie import Trie

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration

# Users are processed in parts such that no level of their trees has more nodes than this, and no
# more continuations are scored together. Products of this many rows are fast and memory is bounded.
_MAX_PLACES = 2**12
_MAX_WAYS = 2**23

# Only a strip of the logits, one row per node, exists at a time; on a CPU it stays in the cache.
_CPU_STRIP_BYTES = 16 * 2**20
_ACCELERATOR_STRIP_BYTES = 512 * 2**20

Banned = Tensor | Sequence[Tensor] | None


@torch.no_grad()
def beam_search(
    t5: "T5ForConditionalGeneration",
    encoder_hidden: Tensor,
    encoder_mask: Tensor,
    trie: Trie,
    num_beams: int,
    banned: Banned = None,
) -> tuple[Tensor, Tensor]:
    """The most probable items under T5, by a beam search.

    After each token the `num_beams` best unfinished prefixes continue, and the `num_beams` best
    finished items are kept, until no prefix can still beat the last of them. Decoding is
    constrained to the trie, so every item is valid and unique.

    If all items have the same length, it equals `generate(num_beams=..., length_penalty=0,
    early_stopping="never", prefix_allowed_tokens_fn=...)` of transformers. If lengths differ, it
    may return better items and never worse ones: `generate` forgets a finished item that is not
    among the best `num_beams` of finished and unfinished ones together.

    Args:
        t5: a `T5ForConditionalGeneration`, in eval mode.
        encoder_hidden: (B, S, d) outputs of its encoder.
        encoder_mask: (B, S), 0 where the input is padding.
        trie: N items.
        num_beams: K >= 1; memory grows with its square. With K = N all items are returned, but for
            a large catalogue use `score_all`.
        banned: items to exclude: (B, N) bool, or B tensors of item indices.

    Returns:
        items: (B, K) int64, best first, -1 if there are fewer than K.
        log_probs: (B, K) float32, -inf where the item is -1.

    Raises:
        ValueError: `num_beams` below 1, `banned` of another shape, or `t5` in training mode.
    """
    if num_beams < 1:
        raise ValueError(f"num_beams must be at least 1, not {num_beams}")
    allowed = _allowed(banned, len(encoder_hidden), trie)
    widths = [min(num_beams, n) for n in trie.inner_nodes]
    ways = max(width * fan for width, fan in zip(widths, trie.fan, strict=True))
    parts = [
        _search_part(
            TreeDecoder(t5, encoder_hidden[users], encoder_mask[users], trie.depth),
            trie,
            num_beams,
            None if allowed is None else allowed[users],
        )
        for users in _parts(encoder_hidden, max(widths), ways)
    ]
    items, log_probs = zip(*parts, strict=True)
    return torch.cat(items), torch.cat(log_probs)


def _search_part(
    decoder: TreeDecoder, trie: Trie, num_beams: int, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`beam_search` for a part of the users."""
    nodes = trie.token.new_zeros(decoder.n_users, 1)  # (B, W): unfinished prefixes, from the root
    scores = torch.zeros(nodes.shape, device=nodes.device)
    tokens, parents = torch.full_like(nodes, decoder.t5.config.decoder_start_token_id), None
    items = nodes.new_full((decoder.n_users, num_beams), -1)
    best = scores.new_full(items.shape, float("-inf"))
    for written in range(trie.depth):
        children, is_child = trie.next_nodes(nodes)  # (B, W, C)
        place = torch.arange(children[0].numel(), device=nodes.device) // children.size(2)
        children, is_child = children.flatten(1), is_child.flatten(1)  # (B, W * C)
        if allowed is not None:
            is_child &= _any_allowed(allowed, trie, children)
        hidden = decoder.step(tokens, parents)
        log_probs = _log_probs(decoder, hidden, place.unsqueeze(0), trie.token[children])
        log_probs = (log_probs + scores[:, place]).masked_fill(~is_child, float("-inf"))

        item = trie.item[children]
        ended = torch.cat((best, log_probs.masked_fill(item < 0, float("-inf"))), dim=1)
        best, choice = ended.topk(num_beams)
        items = torch.cat((items, item), dim=1).gather(1, choice)

        width = min(num_beams, trie.inner_nodes[written + 1], children.size(1))
        if width == 0:
            break
        scores, choice = log_probs.masked_fill(item >= 0, float("-inf")).topk(width)
        # Each token can only lower a score.
        scores = scores.masked_fill(scores <= best[:, -1:], float("-inf"))
        is_open = scores > float("-inf")
        if not is_open.any():
            break
        nodes = torch.where(is_open, children.gather(1, choice), trie.some_leaf)
        tokens, parents = trie.token[nodes], place[choice]
    return items.masked_fill(best == float("-inf"), -1), best


@torch.no_grad()
def score_candidates(
    t5: "T5ForConditionalGeneration",
    encoder_hidden: Tensor,
    encoder_mask: Tensor,
    trie: Trie,
    candidates: Tensor,
) -> Tensor:
    """Exact log-probabilities of each user's own candidates.

    The encoder's outputs are read once, and shared prefixes of candidates are computed once.

    Args:
        t5, encoder_hidden, encoder_mask, trie: as in `beam_search`.
        candidates: (B, C) item indices, in any order, repeats allowed.

    Returns:
        (B, C) float32; -inf for indices that are not in the trie, such as padding.
    """
    scores = [
        _score(
            TreeDecoder(t5, encoder_hidden[users], encoder_mask[users], trie.depth),
            trie,
            candidates[users],
        )
        for users in _parts(encoder_hidden, candidates.size(1))
    ]
    return torch.cat(scores)


@torch.no_grad()
def score_all(
    t5: "T5ForConditionalGeneration",
    encoder_hidden: Tensor,
    encoder_mask: Tensor,
    trie: Trie,
    chunk: int = 256,
) -> Tensor:
    """Exact log-probabilities (B, N) of all items; -inf for indices that are not in the trie.

    `chunk` items with adjacent sequences are scored at a time. This is the reference for the beam
    search, and it costs a decoder pass over the whole trie for each user.
    """
    scores = encoder_hidden.new_full(
        (len(encoder_hidden), trie.n_items), float("-inf"), dtype=torch.float32
    )
    for users in _parts(encoder_hidden, chunk):
        decoder = TreeDecoder(t5, encoder_hidden[users], encoder_mask[users], trie.depth)
        for items in trie.order.split(chunk):
            decoder.restart()
            scores[users[:, None], items] = _score(decoder, trie, items.unsqueeze(0))
    return scores


def _score(decoder: TreeDecoder, trie: Trie, candidates: Tensor) -> Tensor:
    """Log-probabilities (B, C) of candidates (B, C), or (1, C) if all users have the same."""
    # In the order of their sequences, candidates that share a prefix are adjacent.
    rank, order = trie.rank[candidates].sort(dim=1)
    path = trie.path[candidates.gather(1, order)]  # (B, C, depth + 1)
    place = torch.zeros_like(order)  # index of each candidate's prefix in the level
    tokens = place.new_full((len(place), 1), decoder.t5.config.decoder_start_token_id)
    parents = None
    scores = torch.zeros(decoder.n_users, order.size(1), device=order.device)
    for written in range(trie.depth):
        node = path[:, :, written + 1]
        token = trie.token[node.clamp(min=0)]
        log_probs = _log_probs(decoder, decoder.step(tokens, parents), place, token)
        scores += log_probs.masked_fill(node < 0, 0)

        goes_on = (node >= 0) & (trie.item[node] < 0)
        if not goes_on.any():
            break
        is_first = goes_on.clone()
        is_first[:, 1:] &= node[:, 1:] != node[:, :-1]
        next_place = (is_first.cumsum(dim=1) - 1).clamp(min=0)
        width = int(next_place.max()) + 1
        put = torch.where(is_first, next_place, width)  # the rest go to a column that is dropped
        blank = place.new_zeros(len(place), width + 1)
        tokens = blank.scatter(1, put, token)[:, :width]
        parents = blank.scatter(1, put, place)[:, :width]
        place = next_place
    scores = scores.masked_fill(rank == len(trie.order), float("-inf"))
    return torch.empty_like(scores).scatter_(1, order.expand_as(scores), scores)


def dense_scores(items: Tensor, log_probs: Tensor, n_items: int) -> Tensor:
    """Scores (B, n_items) of all items from a beam search's results, -inf for the others."""
    scores = log_probs.new_full((len(items), n_items), float("-inf"))
    # Entries with item -1 have score -inf, so writing them anywhere changes nothing.
    return scores.scatter_reduce_(1, items.clamp(min=0), log_probs, "amax")


def _log_probs(decoder: TreeDecoder, hidden: Tensor, place: Tensor, token: Tensor) -> Tensor:
    """Log-probability (B, n) of each token at its node: (B, n) or (1, n), of hidden (B, W, d).

    The softmax is over T5's whole vocabulary, in float32.
    """
    lm_head = decoder.t5.lm_head
    is_cpu = hidden.device.type == "cpu"
    user_bytes = 4 * hidden.size(1) * lm_head.out_features
    n_users = (_CPU_STRIP_BYTES if is_cpu else _ACCELERATOR_STRIP_BYTES) // user_bytes
    place, token = (each.expand(len(hidden), -1) for each in (place, token))
    strips = (each.split(max(1, n_users)) for each in (hidden, place, token))
    log_probs = []
    for of_users, at, wanted in zip(*strips, strict=True):
        logits = lm_head(of_users).float()  # (b, W, V)
        chosen = logits.flatten(1).gather(1, at * logits.size(2) + wanted)
        log_probs.append(chosen - logits.logsumexp(dim=2).gather(1, at))
    return torch.cat(log_probs)


def _parts(encoder_hidden: Tensor, places: int, ways: int = 1) -> tuple[Tensor, ...]:
    """Indices of the users of each part, for `places` nodes and `ways` continuations per user."""
    n_users = max(1, min(_MAX_PLACES // max(1, places), _MAX_WAYS // ways))
    return torch.arange(len(encoder_hidden), device=encoder_hidden.device).split(n_users)


def _allowed(banned: Banned, n_users: int, trie: Trie) -> Tensor | None:
    """(B, n + 1): how many of the first i items of `trie.order` are allowed for the user."""
    if banned is None:
        return None
    if not isinstance(banned, Tensor):
        if len(banned) != n_users:
            raise ValueError(f"banned must hold a tensor for each of {n_users} users")
        index = nn.utils.rnn.pad_sequence(list(banned), True, trie.n_items)
        mask = trie.item.new_zeros(n_users, trie.n_items + 1, dtype=torch.bool)
        banned = mask.scatter_(1, index.to(mask.device), True)[:, :-1]
    elif banned.shape != (n_users, trie.n_items) or banned.dtype != torch.bool:
        raise ValueError(
            f"banned must be bool ({n_users}, {trie.n_items}), "
            f"not {banned.dtype} {tuple(banned.shape)}"
        )
    may = (~banned[:, trie.order]).cumsum(dim=1, dtype=torch.int32)
    return nn.functional.pad(may, (1, 0))


def _any_allowed(allowed: Tensor, trie: Trie, nodes: Tensor) -> Tensor:
    """Whether any item below nodes (B, n) is allowed."""
    return allowed.gather(1, trie.high[nodes]) > allowed.gather(1, trie.low[nodes])
