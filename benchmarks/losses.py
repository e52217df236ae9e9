"""Speed and memory of cross-entropy over all items and of counting ranks, against plain code.

python -m benchmarks.losses
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_intent.evaluation.ranks import rank_of_targets
from recbole_intent.nn.losses import linear_cross_entropy
from recbole_intent.utils.memory import peak_mib

BATCH, WIDTH = 2048, 64
TOYS_ITEMS, MILLION_ITEMS = 11_925, 1_000_000
MEMORY_LIMIT_MIB = 4096
REPEATS = 7


def fused(hidden: Tensor, weight: Tensor, target: Tensor) -> None:
    """Run our forward and backward passes."""
    linear_cross_entropy(hidden, weight, target).backward()


def plain(hidden: Tensor, weight: Tensor, target: Tensor) -> None:
    """Run forward and backward passes through the (N, V) logits."""
    F.cross_entropy(hidden @ weight.t(), target).backward()


def make_inputs(n_items: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return random hidden (N, d), weight (V, d) and target (N,)."""
    torch.manual_seed(0)
    hidden = torch.randn(BATCH, WIDTH, requires_grad=True)
    weight = (0.1 * torch.randn(n_items, WIDTH)).requires_grad_()
    return hidden, weight, torch.randint(1, n_items, (BATCH,))


def seconds_of(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Return median seconds of two calls in turns, so that a busy machine slows both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    first(), second()
    for _ in range(REPEATS):
        for call, record in zip((first, second), times, strict=True):
            start = time.perf_counter()
            call()
            record.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def measure_memory(loss: Callable[..., None], n_items: int) -> tuple[float, float, float]:
    """Return peak MiB, MiB added by the loss, and seconds, in this fresh process."""
    inputs = make_inputs(n_items)
    before = peak_mib()
    start = time.perf_counter()
    loss(*inputs)
    return peak_mib(), peak_mib() - before, time.perf_counter() - start


def in_fresh_process(loss: Callable[..., None], n_items: int) -> tuple[float, float, float]:
    """Run `measure_memory` in its own process, since a peak never falls."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure_memory, (loss, n_items))


def main() -> None:
    """Print one table; a ratio above 1 favours ours."""
    # Memory first: a new process starts with its parent's peak.
    _, fused_mib, _ = in_fresh_process(fused, TOYS_ITEMS)
    _, plain_mib, _ = in_fresh_process(plain, TOYS_ITEMS)
    million_mib, _, million_seconds = in_fresh_process(fused, MILLION_ITEMS)

    inputs = make_inputs(TOYS_ITEMS)
    fused_seconds, plain_seconds = seconds_of(lambda: fused(*inputs), lambda: plain(*inputs))
    strip = 16 * 2**20 // (4 * TOYS_ITEMS)
    small_seconds, large_seconds = seconds_of(
        lambda: linear_cross_entropy(*inputs),
        lambda: linear_cross_entropy(*inputs, chunk_size=strip),
    )
    scores, targets = torch.randn(BATCH, TOYS_ITEMS), inputs[2]
    rank_seconds, topk_seconds = seconds_of(
        lambda: rank_of_targets(scores, targets), lambda: torch.topk(scores, 20, dim=1)
    )

    size = f"{BATCH:,} rows, {TOYS_ITEMS:,} items"
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, d = {WIDTH}\n")
    print("| what | ours | plain | plain / ours |")
    print("|---|---|---|---|")
    print(
        f"| cross-entropy, {size}: ms, forward and backward | {1e3 * fused_seconds:.0f} "
        f"| {1e3 * plain_seconds:.0f} | {plain_seconds / fused_seconds:.1f} |"
    )
    print(
        f"| the same with its gradients, in strips of 4 MiB (plain: of 16 MiB): ms "
        f"| {1e3 * small_seconds:.0f} | {1e3 * large_seconds:.0f} "
        f"| {large_seconds / small_seconds:.1f} |"
    )
    print(
        f"| the same: MiB that it adds | {fused_mib:.0f} | {plain_mib:.0f} "
        f"| {plain_mib / fused_mib:.1f} |"
    )
    print(
        f"| ranks of targets (plain: `torch.topk`, k = 20), {size}: ms | {1e3 * rank_seconds:.0f} "
        f"| {1e3 * topk_seconds:.0f} | {topk_seconds / rank_seconds:.1f} |"
    )
    verdict = "within" if million_mib <= MEMORY_LIMIT_MIB else "OVER"
    print(
        f"\ncross-entropy of {MILLION_ITEMS:,} items, {BATCH:,} rows: {million_mib:,.0f} MiB "
        f"peak of the whole process, {verdict} the limit of {MEMORY_LIMIT_MIB:,}; "
        f"{million_seconds:.1f} s forward and backward. The plain way is not run: its logits "
        f"alone are {4 * BATCH * MILLION_ITEMS / 2**20:,.0f} MiB, three times over."
    )


if __name__ == "__main__":
    main()
