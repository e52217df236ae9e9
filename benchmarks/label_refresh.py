"""Speed and memory of VELI4SBR: label refresh in strips compared with plain `topk`, and inference.

python -m benchmarks.label_refresh [--threads=2]
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_intent.models.veli4sbr.label_refresh import refreshed_labels
from recbole_intent.utils.memory import peak_mib

SESSIONS, WIDTH, INTENTS, K = 35_000, 64, 135, 10
SECONDS_LIMIT, MEMORY_LIMIT_MIB = 3.0, 300
MILLION = 1_000_000
INFERENCE_LIMIT = 1.3
REPEATS = 7


def make_sessions(n: int) -> tuple[Tensor, Tensor]:
    """Return random h (n, d) and, in half precision, ŷ (n, C)."""
    torch.manual_seed(0)
    h, y_hat = torch.empty(n, WIDTH).normal_(), torch.empty(n, INTENTS, dtype=torch.float16)
    return h, y_hat.uniform_()


def in_strips(n: int) -> None:
    """Compute the labels of n sessions with our code."""
    refreshed_labels(*make_sessions(n), K, torch.arange(n))


def plainly(n: int) -> None:
    """Compute the same by `topk` of whole rows of similarities, 1,024 at a time."""
    h, y_hat = make_sessions(n)
    unit = F.normalize(h, dim=1)
    labels = torch.empty_like(y_hat)
    for rows in torch.arange(n).split(1024):
        similarity = unit[rows] @ unit.T
        similarity[torch.arange(len(rows)), rows] = -2
        cosine, index = similarity.topk(K, dim=1)
        near = torch.einsum("rk,rkc->rc", cosine.softmax(1), y_hat[index].float())
        labels[rows] = ((y_hat[rows].float() + near) / 2).half()


def some_of_a_million(n_strips: int) -> float:
    """Estimate the seconds for all labels of a million sessions from a few strips."""
    h, y_hat = make_sessions(MILLION)
    rows = torch.arange(n_strips * 32)  # the minimum rows of a strip
    start = time.perf_counter()
    refreshed_labels(h, y_hat, K, rows)
    return (time.perf_counter() - start) * MILLION / len(rows)


def measure(task: Callable[[int], float | None], n: int, threads: int) -> tuple:
    """Return seconds, added MiB, total MiB and the task's result, in this fresh process."""
    torch.set_num_threads(threads)
    torch.randn(256, 256) @ torch.randn(256, 256)  # starts the threads
    before, start = peak_mib(), time.perf_counter()
    found = task(n)
    return time.perf_counter() - start, peak_mib() - before, peak_mib(), found


def in_fresh_process(task: Callable[[int], float | None], n: int, threads: int) -> tuple:
    """Run `measure` in its own process, since a peak never falls."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (task, n, threads))


def inference_ratio(backbone: str) -> tuple[float, float]:
    """Return milliseconds to rank a batch by VELI4SBR and by its backbone alone, taking turns."""
    from recbole_intent.config.config import Config
    from recbole_intent.data.formats import intent_files as files
    from recbole_intent.data.loading.split import load_data, read_parts
    from recbole_intent.data.loading.training_interactions import training_split

    with tempfile.TemporaryDirectory() as folder:
        sessions = [files.SessionIntents("196", ("intent 0",), (), 1, True)]
        pool = [files.PoolIntent(f"intent {c}", 1) for c in range(INTENTS)]
        given = {"device": "cpu", "data_path": "not-there"}
        config = Config("VELI4SBR", "ml-100k", config_dict=given)
        about = {"split": training_split(config, read_parts(config).train).plain()}
        files.write_intent_files(
            folder, "some", intents=sessions, pool=pool, features=[], manifest=lambda: about
        )
        made = []
        for intents in (str(Path(folder) / "some.intent"), "none"):
            options = {"backbone": backbone, "intents": intents, "device": "cpu"}
            config = Config(
                "VELI4SBR", "ml-100k", config_dict={**options, "data_path": "not-there"}
            )
            data = load_data(config)
            made.append(config.spec.model_class()(config, data.train._dataset).eval())
    batch = data.test.dataset.rows(range(512))
    times: tuple[list[float], list[float]] = ([], [])
    with torch.no_grad():
        for turn in range(2 * REPEATS):
            for model, record in zip(made, times, strict=True):
                start = time.perf_counter()
                model.full_sort_predict(batch)
                if turn:
                    record.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    """Print time and memory, and whether they are within the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads

    print(f"{threads} threads, torch {torch.__version__}, d = {WIDTH}, C = {INTENTS}, K = {K}\n")
    ours = in_fresh_process(in_strips, SESSIONS, threads)
    plain = in_fresh_process(plainly, SESSIONS, threads)
    size = f"labels of {SESSIONS:,} sessions"
    print("| what | ours | plain | plain / ours |")
    print("|---|---|---|---|")
    print(f"| {size}: s | {ours[0]:.2f} | {plain[0]:.2f} | {plain[0] / ours[0]:.1f} |")
    ratio = plain[1] / ours[1]
    print(f"| the same: MiB that it adds | {ours[1]:.0f} | {plain[1]:.0f} | {ratio:.1f} |")
    torch.set_num_threads(threads)
    for backbone in ("SASRec", "BERT4Rec", "GRU4Rec"):
        with_intents, alone = inference_ratio(backbone)
        print(
            f"| scores of 512 sessions, {backbone} with intents (plain: without): ms "
            f"| {with_intents:.1f} | {alone:.1f} | {alone / with_intents:.2f} |"
        )
        if with_intents > INFERENCE_LIMIT * alone:
            print(f"OVER: {backbone} with intents takes more than {INFERENCE_LIMIT} times as long")
    is_within = ours[0] <= SECONDS_LIMIT and ours[1] <= MEMORY_LIMIT_MIB
    print(
        f"\n{size}: {'within' if is_within else 'OVER'} the limits of {SECONDS_LIMIT:.0f} s and "
        f"{MEMORY_LIMIT_MIB} MiB"
    )
    _, _, mib, seconds = in_fresh_process(some_of_a_million, 8, threads)
    print(
        f"a million sessions: {mib:,.0f} MiB peak of the whole process, about "
        f"{seconds / 60:.0f} min (8 strips measured)"
    )


if __name__ == "__main__":
    main()
