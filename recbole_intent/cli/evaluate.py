"""Command `evaluate`: a finished run under other conditions."""

from recbole_intent.cli.options import Asked
from recbole_intent.evaluation.report import among_candidates, text_table
from recbole_intent.runs.early import check_finished
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Evaluate a run and print its test metrics."""
    check_finished(asked.options["run"], asked.keys)
    from recbole_intent.runs.evaluate import evaluate_run

    done = evaluate_run(asked.options["run"], asked.keys)
    rows = [[name, f"{value:.4f}"] for name, value in done.test.items()]
    say(text_table(["metric", "test"], rows), lines=True)
    if done.candidates:
        say(among_candidates(done.candidates))
    say(f"results: {done.path}")
    return 0
