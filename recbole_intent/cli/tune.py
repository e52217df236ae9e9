"""Command `tune`: a search of hyper-parameters."""

import sys

from recbole_intent.cli.options import PROGRAM, Asked
from recbole_intent.evaluation.report import metric_table
from recbole_intent.runs.early import check_run
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Search, and print the metrics of the best trial."""
    options = dict(asked.options)
    model, dataset = options.pop("model"), options.pop("dataset")
    files = options.pop("config_files", ())
    check_run(model, dataset, files, asked.keys, options.get("allow_unknown", False))
    from recbole_intent.tune.tune import Options, tune

    try:
        done = tune(
            model, dataset, files, asked.keys, Options(**options, command=[PROGRAM, *asked.words])
        )
    except KeyboardInterrupt:
        say("\nstopped; the same command with --resume goes on", file=sys.stderr, lines=True)
        return 130
    say(metric_table([done.result]), lines=True)
    say(f"best: trial {done.best.index} of {len(done.trials)}, in {done.folder}/best.yaml")
    failed = [str(trial.index) for trial in done.trials if trial.status == "failed"]
    if failed:
        say(f"failed: trials {', '.join(failed)} (trials.csv says why; --resume tries again)")
    return 0
