"""Command `recommend`: lists of items from a finished run."""

from recbole_intent.cli.options import Asked
from recbole_intent.runs.early import check_finished
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Recommend, to a file or to the screen."""
    check_finished(asked.options["run"])
    from recbole_intent.recommend.recommend import recommend_run

    say(recommend_run(**asked.options), lines=True)
    return 0
