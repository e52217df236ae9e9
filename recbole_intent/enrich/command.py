"""The words of `enrich` on the command line, made into one call."""

import sys
from pathlib import Path
from typing import Any

from recbole_intent.config import parse_value
from recbole_intent.errors import UserError

USAGE = """\
usage: run_recbole_intent.py enrich --for=VELI4SBR --dataset=DATASET --llm.model=MODEL
           [--llm.base_url=http://127.0.0.1:8000/v1] [--KEY=VALUE …]
       run_recbole_intent.py enrich --for=VELI4SBR --dataset=DATASET --llm.source=embedded
       run_recbole_intent.py enrich --for=VELI4SBR --dataset=DATASET --intents=metadata

Find intents for the training sessions of a session dataset (prepare --sessions=…), once, before
training. Every answer is kept as it comes: the same command again continues where one was cut off,
and asks nothing twice. Sessions of validation and test are never shown to a model.

  --for=VELI4SBR        what the files are for
  --dataset=DATASET     a session dataset with texts of items
  --output=DIR          of the files; the dataset's own folder if not given
  --data_path=DIR       parent folder of datasets (dataset)
  --config_files=A,B    YAML files with options; later ones win
  --export_batch=FILE   ask nothing: write the next requests for OpenAI's batch service
  --import_batch=FILE   take its results in, then go on as far as they reach
  --KEY=VALUE           any option of properties/enrich/VELI4SBR.yaml, such as --concurrency=8,
                        --sample=0.25, --limit=100, --window=32, --validate=likelihood,
                        --min_coverage=0.5 (a smaller share of sessions with intents: exit code 1),
                        --runner=ray, --llm.api_key_env=NAME
"""


def run_command(options: dict[str, str], flags: set[str]) -> int:
    """Enrich as the options ask, and print the report.

    Args:
        options: `--KEY=VALUE` words, the values still texts.
        flags: none is known.

    Returns:
        The exit code: 1 where too few sessions have intents.

    Raises:
        UserError: an option that is missing, or a value that cannot be.
    """
    options = dict(options)
    if flags:
        raise UserError(f"--{min(flags)}: not an option of enrich; answers are never asked twice")
    purpose, dataset = options.pop("for", ""), options.pop("dataset", "")
    if purpose != "VELI4SBR":
        raise UserError(f"--for={purpose}: what the files are for: VELI4SBR")
    if not dataset:
        raise UserError("--dataset=… is missing; enrich --help shows how")
    from recbole_intent.enrich.batch_files import BatchPending
    from recbole_intent.enrich.options import read_options
    from recbole_intent.enrich.pipeline import enrich

    files = [path.strip() for path in options.pop("config_files", "").split(",") if path.strip()]
    where: dict[str, Any] = {"data_path": options.pop("data_path", "dataset")}
    where["output"] = options.pop("output", None)
    exported, imported = options.pop("export_batch", None), options.pop("import_batch", None)
    chosen = read_options(files, {key: parse_value(text) for key, text in options.items()})
    try:
        done = enrich(
            dataset,
            chosen,
            **where,
            export_batch=Path(exported) if exported else None,
            import_batch=Path(imported) if imported else None,
        )
    except BatchPending as pending:
        print(pending)
        return 0
    print(done.report)
    print(f"asked now: {done.asked:,}; answers that were there before: {done.cached:,}")
    print(f"files: {done.folder}/{dataset}.intent …")
    if done.share < chosen.min_coverage:
        print(
            f"error: {done.share:.1%} of the sessions have intents, fewer than "
            f"--min_coverage={chosen.min_coverage:g}; the files are written all the same",
            file=sys.stderr,
        )
        return 1
    return 0
