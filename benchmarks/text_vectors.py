"""Speed of encoding item texts with the embedded encoder, and of finding similar users.

Texts are seeded words with the lengths of a shop's titles, brands and categories. The plain code
encodes them in order, batch by batch; ours encodes by length and saves chunk by chunk. Similar
users are compared with a full sort by numpy, in time and outcome, on a sample. A share below 1 does
that part of the work and estimates the total.

python -m benchmarks.text_vectors [--texts=25000] [--users=35598] [--share=1] [--threads=2]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from recbole_intent.enrich.vectors.encoding import encode_texts
from recbole_intent.enrich.vectors.text_encoder import TextEncoder
from recbole_intent.nn.like_minded import like_minded, nearest
from recbole_intent.utils.memory import peak_mib

SIZE, K = 384, 100
TEXTS_LIMIT, USERS_LIMIT, MEMORY_LIMIT = 240, 60, 1000  # seconds, seconds, MiB
COMPARED = 512  # texts, and users, of the plain code
WORDS = (
    "wooden plastic soft small large red blue green classic deluxe magnetic musical learning "
    "puzzle train doll castle robot game card board building block farm animal ocean pirate "
    "princess dragon space car truck kitchen garden paint brush letter number set pack pieces "
    "kids toddler family party outdoor indoor travel"
).split()


def item_texts(count: int, seed: int) -> dict[str, str]:
    """Return texts of 8 to 60 words by id."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(3.0, 0.4, count), 8, 60).astype(int)
    words = np.array(WORDS)[rng.integers(len(WORDS), size=lengths.sum())]
    rows = np.split(words, lengths.cumsum()[:-1])
    return {f"i{n}": f"{' '.join(row)}, no. {n}" for n, row in enumerate(rows)}


def users(count: int, seed: int) -> np.ndarray:
    """Return (N, D) vectors of kinds of users; every tenth has the same text as another."""
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(500, SIZE)).astype(np.float32)
    found = kinds[rng.integers(500, size=count)]
    found += 0.7 * rng.normal(size=found.shape).astype(np.float32)
    found[9::10] = found[: len(found[9::10])]
    return found


def measure_encoding(count: int, place: Path) -> float:
    """Return seconds for `count` texts; print those of the plain code and of a rerun."""
    encoder, path = TextEncoder(), place / "v.npz"
    texts = item_texts(count, seed=1)
    encoder.encode(["to read the model"])
    some = list(texts.values())[:COMPARED]
    begin = time.perf_counter()
    for first in range(0, len(some), 32):
        encoder.encode(some[first : first + 32])
    plain = (time.perf_counter() - begin) / len(some)
    begin, cpu = time.perf_counter(), time.process_time()
    encode_texts(texts, encoder, path, semantics="metadata", chunk=512)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    begin = time.perf_counter()
    assert not encode_texts(texts, encoder, path, semantics="metadata", chunk=512)
    again = time.perf_counter() - begin
    print(f"{'texts':12} {count:7,} in {seconds:.1f} s ({cpu:.1f} s CPU)")
    print(f"{'':12} {plain * count / seconds:7.2f} times the plain way; again: {again:.2f} s")
    return seconds


def measure_users(count: int, asked: int) -> float:
    """Return seconds for the neighbours of `asked` of `count` users; print the full sort's."""
    vectors = users(count, seed=2)
    some = np.linspace(0, count - 1, asked).astype(int)
    begin, cpu = time.perf_counter(), time.process_time()
    if asked == count:
        found = like_minded(vectors, K)
    else:
        found = np.concatenate(list(nearest(vectors, K, torch.from_numpy(some))))
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    few = np.linspace(0, asked - 1, min(COMPARED, asked)).astype(int)
    begin = time.perf_counter()
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = units[some[few]] @ units.T
    scores[np.arange(len(few)), some[few]] = -np.inf
    sorted_all = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    plain = (time.perf_counter() - begin) / len(few)
    same = np.mean([len(np.intersect1d(*p)) / K for p in zip(found[few], sorted_all, strict=True)])
    print(f"{'users':12} {asked:7,} of {count:,} in {seconds:.1f} s ({cpu:.1f} s CPU)")
    print(f"{'':12} {plain * asked / seconds:7.2f} times the full sort; {same:.2%} the same")
    return seconds


def main(arguments: list[str] | None = None) -> int:
    """Print times and memory; return 1 if a limit is exceeded, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=25_000)
    parser.add_argument("--users", type=int, default=35_598)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    asked = round(given.share * given.users)
    # Users first, so that their memory does not include the encoder's.
    of_users = measure_users(given.users, asked) / given.share
    memory = peak_mib()
    print(f"{'memory':12} {memory:7.0f} MiB at most")
    with tempfile.TemporaryDirectory() as place:
        of_texts = measure_encoding(round(given.share * given.texts), Path(place)) / given.share
    is_good = of_users < USERS_LIMIT and of_texts < TEXTS_LIMIT and memory < MEMORY_LIMIT
    if given.share < 1:
        print(f"estimate of all: users {of_users:.0f} s, texts {of_texts:.0f} s")
    limits = f"{USERS_LIMIT} s, {TEXTS_LIMIT} s and {MEMORY_LIMIT} MiB are asked for"
    print(f"{'good' if is_good else 'NOT good'}: {limits}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
