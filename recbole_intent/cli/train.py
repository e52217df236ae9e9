"""Training of one model, the command without a name."""

import logging
import os

from recbole_intent.cli.options import Asked
from recbole_intent.evaluation.report import metric_table
from recbole_intent.runs.early import check_run
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Train, and print the metrics and the run's folder."""
    options = dict(asked.options)
    given = (
        options.pop("model"),
        options.pop("dataset"),
        options.pop("config_files", ()),
        asked.keys,
    )
    check_run(*given, options.get("allow_unknown", False))
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes the first one alone
        logging.getLogger("recbole_intent").info("%s on %s: loading libraries and data", *given[:2])
    from recbole_intent.runs.experiment import run
    from recbole_intent.trainer import distributed

    done = run(*given, **options)
    is_main = distributed.is_main()
    distributed.leave()
    if not is_main:
        return 0
    if done.reported:
        say(f"{done.folder} is finished; --fresh would train it again")
    say(metric_table([done.result]), lines=True)
    say(f"results: {done.folder}")
    return 0
