"""Training time, evaluation time and memory on amazon-toys, compared with RecBole in one run.

Every case is measured in its own process. RecBole's epoch is scaled from some of its batches, which
all cost the same (2,048 rows padded to 50); our epochs are measured completely.

python -m benchmarks.sequences [--dataset=amazon-toys] [--batches=10] [--threads=2]
"""

import argparse
import json
import subprocess
import sys
import time

import torch

from recbole_intent.utils.memory import peak_mib

CASES = {
    "RecBole's SASRec, as installed": {"model": "SASRec", "reference": True, "anomaly": True},
    "RecBole's SASRec, anomaly mode off": {"model": "SASRec", "reference": True},
    "SASRec, rows": {"model": "SASRec", "passes": "all"},
    "SASRec, passes: 4": {"model": "SASRec", "passes": 4},
    "SASRec, shared (passes: 1)": {"model": "SASRec", "passes": 1},
    "RecBole's BERT4Rec": {"model": "BERT4Rec", "reference": True},
    "BERT4Rec": {"model": "BERT4Rec"},
    "IGRSR, scope prefix": {"model": "IGRSR", "intent_scope": "prefix"},
    "IGRSR, scope causal": {"model": "IGRSR", "intent_scope": "causal", "passes": 1},
}


def measure(case: dict, dataset: str, batches: int, threads: int) -> dict:
    """Return seconds of an epoch and of an evaluation, batches, and peak MiB, in this process."""
    from recbole_intent.config.config import Config
    from recbole_intent.config.registry import get_spec
    from recbole_intent.runs.experiment import build

    case = dict(case)
    is_reference = case.pop("reference", False)
    anomaly = case.pop("anomaly", False)
    model = case.pop("model")
    overrides = {"threads": threads, "fast_sequences": not is_reference, "tensorboard": False}
    if is_reference and get_spec(model).corrected:
        overrides["reference"] = "recbole"  # its own class, even if it is wrong
    config = Config(model, dataset, config_dict={**overrides, **case})
    trainer, data = build(config)
    # RecBole's package switches anomaly mode on for the whole process when it is imported
    # (its sine.py); recbole_intent switches it off again.
    torch.autograd.set_detect_anomaly(anomaly)
    if is_reference:
        return {**_reference(config, trainer.model, batches), "peak_mib": peak_mib()}
    trainer.seed_epoch(0, data.train)
    warm = next(iter(data.train))
    trainer.model.calculate_loss(warm)
    start = time.perf_counter()
    trainer._train_epoch(0, data.train, False)
    epoch = time.perf_counter() - start
    start = time.perf_counter()
    trainer.evaluate(data.valid)
    return {
        "epoch": epoch,
        "evaluation": time.perf_counter() - start,
        "measured": len(data.train),
        "peak_mib": peak_mib(),
    }


def _reference(config, model, batches: int) -> dict:
    """Measure RecBole's own loaders and trainer on its own model."""
    from recbole.data import data_preparation
    from recbole.data.dataset import SequentialDataset
    from recbole.trainer import Trainer

    config["eval_args"]["mode"] = {"valid": "full", "test": "full"}
    train, valid, _ = data_preparation(config, SequentialDataset(config))
    trainer = Trainer(config, model)
    total = len(train)

    class SomeBatches:
        """The first batches of RecBole's loader."""

        def __iter__(self):
            for _, batch in zip(range(batches), train, strict=False):
                yield batch

    trainer.eval_collector.data_collect(train)
    start = time.perf_counter()
    trainer._train_epoch(SomeBatches(), 0)
    epoch = (time.perf_counter() - start) * total / min(batches, total)
    start = time.perf_counter()
    trainer.evaluate(valid, load_best_model=False)
    return {
        "epoch": epoch,
        "evaluation": time.perf_counter() - start,
        "measured": min(batches, total),
    }


def main(argv: list[str] | None = None) -> int:
    """Measure all cases and print one table of seconds and ratios; return 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="amazon-toys")
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", choices=CASES)
    options = parser.parse_args(argv)
    if options.case:
        case = CASES[options.case]
        print(json.dumps(measure(case, options.dataset, options.batches, options.threads)))
        return 0
    results = {}
    for name in CASES:
        command = [sys.executable, "-m", "benchmarks.sequences", f"--case={name}"]
        command += [f"--dataset={options.dataset}", f"--batches={options.batches}"]
        command += [f"--threads={options.threads}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        results[name] = json.loads(done.stdout.strip().splitlines()[-1])
    installed = results.get("RecBole's SASRec, as installed")
    plain = results.get("RecBole's SASRec, anomaly mode off")
    print(f"{options.dataset}, {options.threads} threads, torch {torch.__version__}\n")
    print("| training | s/epoch | × as installed | × anomaly off | evaluation s | peak MiB |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, result in results.items():
        ratios = [f"{r['epoch'] / result['epoch']:.1f}" if r else "–" for r in (installed, plain)]
        print(
            f"| {name} | {result['epoch']:.1f} | {ratios[0]} | {ratios[1]} "
            f"| {result['evaluation']:.1f} | {result['peak_mib']:.0f} |"
        )
    print(f"\nRecBole's epochs are scaled from {options.batches} of their batches.")
    return 0 if len(results) == len(CASES) else 1


if __name__ == "__main__":
    sys.exit(main())
