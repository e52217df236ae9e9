"""Command `tune`: a search of hyper-parameters."""

import sys

from recbole_intent.cli.options import PROGRAM, Asked
from recbole_intent.evaluation.report import metric_table
from recbole_intent.runs.early import check_run
from recbole_intent.tune.space import read_space
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Search, and print the metrics of the best trial, or the report of several models."""
    options = dict(asked.options)
    model, models = options.pop("model", None), options.pop("models", [])
    dataset, files = options.pop("dataset"), options.pop("config_files", ())
    if bool(model) == bool(models):
        raise UserError("tune: give either --model=… or --models=A,B,…; tune --help shows how")
    for name in models or [model]:
        check_run(name, dataset, files, asked.keys, options.get("allow_unknown", False))
        if "search" in options:
            read_space(name, options["search"])
    from recbole_intent.tune.several import tune_models
    from recbole_intent.tune.tune import Options, tune

    how = Options(**options, command=[PROGRAM, *asked.words])
    try:
        if models:
            searches = tune_models(models, dataset, files, asked.keys, how)
            say(searches.report, lines=True)
            say(f"report: {searches.folder / 'report.md'}")
            return 0
        done = tune(model, dataset, files, asked.keys, how)
    except KeyboardInterrupt:
        say("\nstopped; the same command with --resume continues", file=sys.stderr, lines=True)
        return 130
    say(metric_table([done.result]), lines=True)
    say(done.spent)
    say(f"best: trial {done.best.index} of {len(done.trials)}, in {done.folder}/best.yaml")
    if done.tuned:
        say(f"tuned values: {done.tuned}, for --tuned")
    failed = [str(trial.index) for trial in done.trials if trial.status == "failed"]
    if failed:
        say(f"failed: trials {', '.join(failed)} (trials.csv says why; --resume tries again)")
    return 0
