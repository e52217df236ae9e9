"""Speed of ISRF's beam search over a trie and candidate scoring, compared with transformers.

A T5 with random weights generates identifiers of 12,000 items, as five digits or as one token each.
The encoder's outputs are given, so only decoding is measured; the last column includes encoding.

python -m benchmarks.trie_decoding [--users=64] [--beams=20] [--threads=2] [--device=cpu]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from recbole_intent.models.generative.trie import Trie
from recbole_intent.models.generative.trie_search import beam_search, score_candidates

N_ITEMS, N_CANDIDATES = 12_000, 100
WORDS = 1_000  # tokens of templates and users, besides those of items
TOYS_USERS = 19_412
REPEATS = 3


def digits() -> tuple[Tensor, int, int]:
    """Return items as five digits (N, 6), the vocabulary size, and tokens per input."""
    rows = [(*digit, 1) for digit in product(range(2, 12), repeat=5)][1 : N_ITEMS + 1]
    return torch.tensor(rows), WORDS, 100


def tokens() -> tuple[Tensor, int, int]:
    """Return the same with one token per item (N, 2)."""
    token = torch.arange(2, N_ITEMS + 2)
    return torch.stack((token, torch.ones_like(token)), 1), N_ITEMS + WORDS, 40


def make_t5(vocab_size: int) -> T5ForConditionalGeneration:
    """Return a T5 of 3 to 4.5 million parameters."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=vocab_size,
        d_model=128,
        d_kv=32,
        d_ff=1024,
        num_layers=4,
        num_heads=4,
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config).eval()


def generate(t5, hidden: Tensor, mask: Tensor, allowed: dict, beams: int) -> Tensor:
    """Return the output (B, K, T) of transformers, with the settings that match our search."""
    found = t5.generate(
        encoder_outputs=BaseModelOutput(hidden),
        attention_mask=mask,
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=max(map(len, allowed)),
        length_penalty=0.0,
        early_stopping="never",
        do_sample=False,
        prefix_allowed_tokens_fn=lambda user, prefix: allowed.get(tuple(prefix.tolist()), [0]),
    )
    return found[:, 1:].view(len(hidden), beams, -1)


@torch.no_grad()
def force(t5, hidden: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """Return scores (B, C) of candidates with tokens (B, C, T), each by T5's own forward."""
    n_candidates = labels.size(1)
    scores = []
    for user in range(len(hidden)):
        logits = t5(
            encoder_outputs=BaseModelOutput(hidden[user].expand(n_candidates, -1, -1)),
            attention_mask=mask[user].expand(n_candidates, -1),
            labels=labels[user],
        ).logits
        log_probs = logits.log_softmax(2).gather(2, labels[user].unsqueeze(2))
        scores.append(log_probs.sum(dim=(1, 2)))
    return torch.stack(scores)


def seconds_of(*calls: Callable[[], Tensor]) -> list[float]:
    """Return median seconds of calls that take turns, so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS):
        for call, record in zip(calls, times, strict=True):
            start = time.perf_counter()
            call().cpu()  # waits for the device
            record.append(time.perf_counter() - start)
    return [statistics.median(record) for record in times]


def measure(name: str, kind: Callable, users: int, beams: int, device: str) -> None:
    """Print the rows of one kind of identifiers."""
    sequences, vocab_size, n_tokens = (
        each.to(device) if isinstance(each, Tensor) else each for each in kind()
    )
    t5, trie = make_t5(vocab_size).to(device), Trie(sequences)
    inputs = torch.randint(2, vocab_size, (users, n_tokens), device=device)
    mask = torch.ones_like(inputs)
    with torch.no_grad():
        hidden = t5.encoder(inputs, attention_mask=mask).last_hidden_state
    allowed: dict[tuple[int, ...], list[int]] = {}
    for row in sequences.tolist():
        for t, token in enumerate(row):
            follows = allowed.setdefault((0, *row[:t]), [])
            if not follows or follows[-1] != token:
                follows.append(token)
    candidates = torch.randint(N_ITEMS, (users, N_CANDIDATES), device=device)
    given = t5, hidden, mask

    found = sequences[beam_search(*given, trie, beams)[0]]
    same = (found == generate(*given, allowed, beams)).all(dim=2).float().mean()
    apart = force(*given, sequences[candidates]) - score_candidates(*given, trie, candidates)
    encoding, search, theirs, scoring, forcing = seconds_of(
        lambda: t5.encoder(inputs, attention_mask=mask).last_hidden_state.detach(),
        lambda: beam_search(*given, trie, beams)[0],
        lambda: generate(*given, allowed, beams),
        lambda: score_candidates(*given, trie, candidates),
        lambda: force(*given, sequences[candidates]),
    )
    million = sum(parameter.numel() for parameter in t5.parameters()) / 1e6
    for what, ours, plain in (
        (f"beam search, {beams} beams (plain: `generate`)", search, theirs),
        (f"{N_CANDIDATES} candidates (plain: T5's forward)", scoring, forcing),
    ):
        minutes = (ours + encoding) * TOYS_USERS / users / 60
        print(
            f"| {name}, {million:.1f} M parameters: {what} | {ours:.2f} | {plain:.2f} "
            f"| {plain / ours:.1f} | {minutes:.1f} |",
            flush=True,
        )
    print(
        f"{name}: {100 * same:.2f} % of the written items are those of `generate`; scores of "
        f"candidates differ from T5's forward by {apart.abs().max():.1e} at most\n"
    )


def main() -> None:
    """Print a table for both kinds of identifiers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--beams", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{options.users} users at a time, {options.threads} threads, torch {torch.__version__}\n"
    )
    print(f"| what | ours, s | plain, s | plain / ours | {TOYS_USERS:,} users, ours, minutes |")
    print("|---|---|---|---|---|")
    for name, kind in (("five digits", digits), ("one token", tokens)):
        measure(name, kind, options.users, options.beams, options.device)


if __name__ == "__main__":
    main()
