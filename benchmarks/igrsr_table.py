"""The runs behind `results/sequential/`: trains what is missing and prints the tables.

A run that is finished is only read, one that was cut off continues, so that the same command
prints the tables again, or goes on with them.

python -m benchmarks.igrsr_table --seeds=2020,2021,2022 --workers=2 [KEY=VALUE …]
"""

import argparse
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recbole_intent.config import parse_value
from recbole_intent.evaluate import evaluate_run
from recbole_intent.evaluation.plots import learning_curves
from recbole_intent.evaluation.report import text_table

VARIANTS = {
    "SASRec": {"model": "SASRec"},
    "IGRSR": {"model": "IGRSR"},
    "IGRSR w/o ICR": {"model": "IGRSR", "use_icr": "False"},
    "IGRSR w/o LID": {"model": "IGRSR", "use_lid": "False"},
    "IGRSR w/o LID, ICR on dropout views": {
        "model": "IGRSR",
        "use_lid": "False",
        "icr_views": "dropout",
    },
    "IGRSR, items from random": {"model": "IGRSR", "item_init": "random"},
    "IGRSR w/o cross-attn": {"model": "IGRSR", "fusion": "concat"},
    "IGRSR, scope causal": {"model": "IGRSR", "intent_scope": "causal", "passes": "4"},
}
METRICS = ("recall@5", "recall@10", "recall@20", "ndcg@5", "ndcg@10", "ndcg@20")
NOISE = ("replace", "insert", "delete", "shuffle")


def train(folder: Path, dataset: str, seed: int, options: dict[str, str]) -> dict | None:
    """The result of one run, trained in a process of its own; None if it failed."""
    command = [sys.executable, "run_recbole_intent.py", f"--dataset={dataset}", f"--seed={seed}"]
    command += [f"--{key}={value}" for key, value in options.items()]
    command += [f"--output={folder}", "--show_progress=False"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{folder}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads((folder / "result.json").read_text("utf-8"))


def mean_sd(values: list[float], digits: int = 4) -> str:
    """`mean ± sd`, or the value alone where there is one."""
    mean = statistics.fmean(values)
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{spread}"


def main(argv: list[str] | None = None) -> None:
    """Train what is missing, then print metrics, gains over SASRec, costs and the noise table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="amazon-toys")
    parser.add_argument("--seeds", default="2020,2021,2022")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="some of the variants")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--saved", type=Path, default=Path("saved/results"))
    parser.add_argument("--picture", type=Path, help="PNG of the learning curves of the first seed")
    parser.add_argument("keys", nargs="*", help="KEY=VALUE for every run")
    options = parser.parse_args(argv)
    common = dict(pair.split("=", 1) for pair in options.keys)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    names = (
        options.variants.split(",") if options.variants != ",".join(VARIANTS) else list(VARIANTS)
    )

    jobs = [(name, seed) for name in names for seed in seeds]
    folders = {
        job: options.saved
        / f"{options.dataset}-{job[0].replace(' ', '_').replace('/', '')}-{job[1]}"
        for job in jobs
    }
    with ThreadPoolExecutor(options.workers) as pool:
        done = pool.map(
            lambda job: train(
                folders[job], options.dataset, job[1], {**common, **VARIANTS[job[0]]}
            ),
            jobs,
        )
        results = {job: result for job, result in zip(jobs, done, strict=True) if result}

    by_name = {n: [results[n, s] for s in seeds if (n, s) in results] for n in names}
    by_name = {name: found for name, found in by_name.items() if found}
    print("\nTest metrics, mean ± sd over seeds\n")
    rows = [
        [name, str(len(found)), *(mean_sd([r["test"][m] for r in found]) for m in METRICS)]
        for name, found in by_name.items()
    ]
    print(text_table(["model", "seeds", *METRICS], rows))
    if "SASRec" in by_name:
        print("\nGain over SASRec of the same seeds\n")
        print(text_table(["model", *METRICS], _gains(by_name, results, seeds)))
    print("\nValidation and cost\n")
    rows = [
        [
            name,
            mean_sd([r["valid"]["recall@10"] for r in found]),
            mean_sd([r["valid"]["ndcg@10"] for r in found]),
            ", ".join(f"{r['best_epoch']}/{r['epochs']}" for r in found),
            mean_sd([r["seconds"] / 60 for r in found], 1),
            mean_sd([r["pretraining_seconds"] / 60 for r in found], 1),
            f"{max(r['peak_memory_mib'] for r in found):.0f}",
        ]
        for name, found in by_name.items()
    ]
    header = [
        "model",
        "valid recall@10",
        "valid ndcg@10",
        "best/epochs",
        "minutes",
        "before",
        "peak MiB",
    ]
    print(text_table(header, rows))
    if options.picture:
        first = {name: results[name, seeds[0]] for name in names if (name, seeds[0]) in results}
        learning_curves(first, "ndcg@10", options.picture)
    print("\n20 % noise in the test histories, Recall@10 (loss against clean)\n")
    print(text_table(["model", "clean", *NOISE], _noise(by_name, results, folders, seeds)))


def _gains(by_name: dict, results: dict, seeds: list[int]) -> list[list[str]]:
    rows = []
    for name in by_name:
        shared = [s for s in seeds if (name, s) in results and ("SASRec", s) in results]
        if name == "SASRec" or not shared:
            continue
        cells = []
        for metric in METRICS:
            mine = statistics.fmean(results[name, s]["test"][metric] for s in shared)
            base = statistics.fmean(results["SASRec", s]["test"][metric] for s in shared)
            cells.append(f"{mine / base - 1:+.1%}")
        rows.append([name, *cells])
    return rows


def _noise(by_name: dict, results: dict, folders: dict, seeds: list[int]) -> list[list[str]]:
    rows = []
    for name in by_name:
        if name not in ("SASRec", "IGRSR", "IGRSR w/o ICR"):
            continue
        clean = [results[name, s]["test"]["recall@10"] for s in seeds if (name, s) in results]
        cells = []
        for kind in NOISE:
            condition = {"noise": parse_value(f"{{ratio: 0.2, kind: {kind}}}")}
            noisy = [
                evaluate_run(folders[name, s], condition).test["recall@10"]
                for s in seeds
                if (name, s) in results
            ]
            loss = 1 - statistics.fmean(noisy) / statistics.fmean(clean)
            cells.append(f"{mean_sd(noisy)} (↓{loss:.1%})")
        rows.append([name, mean_sd(clean), *cells])
    return rows


if __name__ == "__main__":
    main()
