"""Command `evaluate`: a finished run under other conditions."""

from recbole_intent.cli.options import Asked
from recbole_intent.evaluation.report import among_candidates, text_table
from recbole_intent.runs.early import check_finished
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Evaluate a run and print its test metrics."""
    folder, conditions = asked.options["run"], dict(asked.keys)
    check_finished(folder, conditions)
    from recbole_intent.runs.evaluate import evaluate_run

    asked_for = {"test": conditions}
    if conditions.get("mask_history") == "both":
        asked_for = {
            f"history {name}": {**conditions, "mask_history": mask}
            for name, mask in (("not masked", False), ("masked", True))
        }
    evaluations = {title: evaluate_run(folder, each) for title, each in asked_for.items()}
    done = [*evaluations.values()]
    rows = [[name, *(f"{each.test[name]:.4f}" for each in done)] for name in done[0].test]
    say(text_table(["metric", *evaluations], rows), lines=True)
    if done[0].candidates:
        say(among_candidates(done[0].candidates))
    for each in done:
        say(f"results: {each.path}")
    return 0
