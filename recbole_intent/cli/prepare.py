"""Command `prepare`: raw files → atomic files."""

from recbole_intent.cli.options import Asked
from recbole_intent.data.prepare.dataset_properties import paper_counts
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Prepare a dataset and print its counts."""
    statistics = prepare(**asked.options)
    say(statistics.table(paper_counts(asked.options["dataset"])), lines=True)
    return 0
