"""Command `enrich`: intents, profiles and vectors for a dataset."""

import sys

from recbole_intent.cli.options import Asked
from recbole_intent.enrich.products import chosen_options, enrich, product_of
from recbole_intent.llm.batch_files import BatchPending
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Make the files and print the report; 1 if too few answers are usable."""
    options = dict(asked.options)
    named = asked.words[1] if not asked.words[1].startswith("-") else options.pop("for", "")
    product, dataset = product_of(named), options.pop("dataset")
    wanted = chosen_options(product, dataset, options.get("config_files", ()), asked.keys)
    try:
        done = enrich(named, dataset, **options, **asked.keys)
    except BatchPending as pending:
        say(pending)
        return 0
    say(done.report, lines=True)
    say(f"asked now: {done.asked:,}; answers that were there before: {done.cached:,}")
    say(f"files: {done.folder}/{dataset}{product.first} …")
    if done.share < wanted.min_coverage:
        say(
            f"error: {done.share:.1%} of {product.covered}, fewer than "
            f"--min_coverage={wanted.min_coverage:g}; the files are written all the same",
            file=sys.stderr,
        )
        return 1
    return 0
