"""Time and memory of `prepare` and of reading prepared data, against the number of interactions.

Each step runs in a fresh process on logs of `benchmarks.generate`. CPU seconds are printed next to
the elapsed ones, which are those of whoever else uses the machine.

    python -m benchmarks.scale [--interactions=1000000,5000000,20000263] [--plot=FILE.pdf]

`--recbole` also measures RecBole's own reading of the smallest log: its padded rows need about
1 KiB per interaction.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.generate import SHAPES, write

AIMS = {  # seconds and GiB at 20 million interactions
    "prepare, parquet": (120, 6),
    "prepare, csv": (120, 6),
    "read for a run": (20, 4),
}
MEASURED = """
import json, sys, time
begin, cpu = time.perf_counter(), time.process_time()
from recbole_intent.utils.memory import peak_mib
{imports}
loaded = time.perf_counter(), time.process_time()
folder, source = sys.argv[1:]
{step}
print(json.dumps([
    time.perf_counter() - loaded[0], time.process_time() - loaded[1], peak_mib(), loaded[1] - cpu
]))
"""
PREPARE = (
    "from recbole_intent.data.prepare.prepare import prepare",
    "prepare('big', source, folder + '/big')",
)
READ = (
    "from recbole_intent.config.config import Config\n"
    "from recbole_intent.data.loading.split import load_data\n"
    "options = {'device': 'cpu', 'data_path': sys.argv[1]}\n"
    "config = Config('SASRec', 'big', config_dict=options)",
    "load_data(config)",
)
RECBOLE = (
    "from recbole_intent.utils import compat\n"
    "compat.apply()\n"
    "from recbole.config import Config\n"
    "from recbole.data import create_dataset, data_preparation\n"
    "options = {'device': 'cpu', 'data_path': sys.argv[1], 'train_neg_sample_args': None,\n"
    "    'load_col': {'inter': ['user_id', 'item_id', 'timestamp']}, 'use_gpu': False,\n"
    "    'eval_args': {'split': {'LS': 'valid_and_test'}, 'order': 'TO', 'mode': 'full'}}\n"
    "sys.argv[1:], given = [], sys.argv[1:]\n"
    "config = Config('SASRec', 'big', config_dict=options)\n"
    "sys.argv[1:] = given",
    "data_preparation(config, create_dataset(config))",
)


def measure(step: tuple[str, str], folder: Path, source: Path) -> tuple[float, float, float]:
    """Return elapsed seconds, CPU seconds and peak MiB of a step, without imports."""
    code = MEASURED.format(imports=step[0], step=step[1])
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder), str(source)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    elapsed, cpu, mib, _ = json.loads(run.stdout.splitlines()[-1])
    return elapsed, cpu, mib


def slope(sizes: list[int], values: list[float]) -> float:
    """The exponent b of values ∝ sizes^b, by least squares of logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def plot(file: Path, rows: dict[str, list[tuple[int, float, float, float]]]) -> None:
    """Draw CPU seconds and peak memory against interactions, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    for axes, column, label in zip(
        figure.subplots(1, 2), (2, 3), ("CPU seconds", "peak MiB"), strict=True
    ):
        for name, points in rows.items():
            sizes, values = [p[0] for p in points], [p[column] for p in points]
            end = f" (slope {slope(sizes, values):.2f})" if len(points) > 1 else ""
            axes.loglog(sizes, values, marker="o", label=name + end)
        axes.set(xlabel="interactions", ylabel=label)
        axes.legend(fontsize="small")
    figure.savefig(file)


def main(arguments: list[str] | None = None) -> int:
    """Print a line per step and size, and the slopes; return 1 if an aim is missed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interactions", default="1000000,5000000,20000263")
    parser.add_argument("--shape", choices=SHAPES, default="ml-20m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keeps the logs there, and uses those it has")
    parser.add_argument("--recbole", action="store_true")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args(arguments)
    sizes = [int(size) for size in given.interactions.split(",")]
    rows: dict[str, list[tuple[int, float, float, float]]] = {}
    missed = 0
    print("| step | interactions | s | CPU s | peak MiB |\n|---|--:|--:|--:|--:|")

    def report(name: str, size: int, step: tuple[str, str], folder: Path, source: Path) -> None:
        nonlocal missed
        took = measure(step, folder, source)
        rows.setdefault(name, []).append((size, *took))
        print(f"| {name} | {size:,} | {took[0]:.1f} | {took[1]:.1f} | {took[2]:,.0f} |")
        sys.stdout.flush()
        seconds, gib = AIMS.get(name, (np.inf, np.inf))
        missed += size >= 20_000_000 and (took[0] > seconds or took[2] > 1024 * gib)

    with tempfile.TemporaryDirectory() as temporary:
        logs = given.folder or Path(temporary)
        for size in sizes:
            for kind in ("parquet", "csv"):
                source = logs / f"{size}.{kind}"
                if not source.exists():
                    write(source, SHAPES[given.shape].of(size), given.seed)
                place = Path(temporary) / f"{size}-{kind}"
                report(f"prepare, {kind}", size, PREPARE, place, source)
            report("read for a run", size, READ, place, source)
            if given.recbole and size == min(sizes):
                report("read by RecBole", size, RECBOLE, place, source)
    for name, points in rows.items():
        if len(points) > 1:
            of = [slope([p[0] for p in points], [p[i] for p in points]) for i in (2, 3)]
            print(f"{name}: CPU seconds ∝ n^{of[0]:.2f}, memory ∝ n^{of[1]:.2f}")
    if given.plot:
        plot(given.plot, rows)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
