"""Command `enrich`: turns its command-line options into one call of the enrichment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import parse_value
from recbole_intent.utils.printable import say

if TYPE_CHECKING:
    from recbole_intent.enrich.options import EnrichOptions
    from recbole_intent.enrich.workplace import Enriched

USAGE = """\
usage: run_recbole_intent.py enrich --for=VELI4SBR --dataset=DATASET --llm.model=MODEL
           [--llm.base_url=http://127.0.0.1:8000/v1] [--KEY=VALUE …]
       run_recbole_intent.py enrich --for=VELI4SBR --dataset=DATASET --llm.source=embedded
       run_recbole_intent.py enrich --for=VELI4SBR --dataset=DATASET --intents=metadata
       run_recbole_intent.py enrich --for=ISRF --dataset=DATASET --llm.model=MODEL [--KEY=VALUE …]
       run_recbole_intent.py enrich --for=ISRF --dataset=DATASET --semantics=metadata

What a language model says, once, before training. VELI4SBR: intents of the training sessions of a
session dataset (prepare --sessions=…). ISRF: texts of items and users, and their vectors. Every
answer is kept as it comes: the same command again continues where one was cut off, and asks nothing
twice. Nothing of validation and test is ever shown to a model.

  --for=VELI4SBR|ISRF   what the files are for
  --dataset=DATASET     a dataset with texts of items; of sessions for VELI4SBR
  --output=DIR          of the files; the dataset's own folder if not given
  --cache=FILE          of all answers so far, shared by all outputs; DATASET.answers.sqlite in
                        the dataset's own folder if not given
  --data_path=DIR       parent folder of datasets (dataset)
  --config_files=A,B    YAML files with options; later ones win. A run's files will do: what decides
                        which interactions are training is read, other keys of a run are not
  --eval_args=…         and every other key of a run that decides which interactions are training:
                        session_split, benchmark_filename, rm_dup_inter, intervals of filters. Give
                        what the run will have; another split than the dataset's own gets a folder
                        of its own there, and a run refuses texts made from another split
  --export_batch=FILE   ask nothing: write the next requests for OpenAI's batch service
  --import_batch=FILE   take its results in, then go on as far as they reach
  --KEY=VALUE           any option of properties/enrich/VELI4SBR.yaml or ISRF.yaml, such as
                        --concurrency=8, --sample=0.25, --limit=100, --runner=ray,
                        --llm.api_key_env=NAME, --min_coverage=0.5 (a smaller share of usable
                        answers: exit code 1); VELI4SBR: --window=32, --validate=likelihood;
                        ISRF: --steps=vectors (texts are there already), --steps=texts,
                        --encoder=FOLDER, --texts=[fused,positive,negative], --users_sample=20
"""


@dataclass(frozen=True)
class _Purpose:
    """A purpose of the files, given by `--for`.

    Attributes:
        options: class of the options.
        enrich: function that makes the files.
        covered: the things that `min_coverage` is a share of.
        first: suffix of the first file.
    """

    options: type[EnrichOptions]
    enrich: Callable[..., Enriched]
    covered: str
    first: str


def _purposes() -> dict[str, _Purpose]:
    from recbole_intent.data.formats import intent_files, profile_files
    from recbole_intent.enrich.intents.pipeline import enrich
    from recbole_intent.enrich.options import IntentOptions, ProfileOptions
    from recbole_intent.enrich.profiles.pipeline import enrich_profiles

    sessions, asked = "the sessions have intents", "the items and users have texts of the model"
    intents = _Purpose(IntentOptions, enrich, sessions, intent_files.INTENT)
    item_profile = profile_files.PROFILES["item"]
    profiles = _Purpose(ProfileOptions, enrich_profiles, asked, item_profile)
    return {p.options.purpose: p for p in (intents, profiles)}


def run_command(options: dict[str, str], flags: set[str]) -> int:
    """Run the enrichment and print the report.

    Args:
        options: `--KEY=VALUE` options, with unparsed values.
        flags: must be empty; `enrich` has none.

    Returns:
        The exit code: 1 if too few answers are usable.

    Raises:
        UserError: a missing option or an invalid value.
    """
    options = dict(options)
    if flags:
        raise UserError(f"--{min(flags)}: not an option of enrich; answers are never asked twice")
    name, dataset = options.pop("for", ""), options.pop("dataset", "")
    purposes = _purposes()
    if name not in purposes:
        raise UserError(f"--for={name}: what the files are for: {' or '.join(purposes)}")
    if not dataset:
        raise UserError("--dataset=… is missing; enrich --help shows how")
    from recbole_intent.enrich.options import read_options
    from recbole_intent.enrich.training_data import run_keys, split_values
    from recbole_intent.llm.batch_files import BatchPending

    purpose = purposes[name]
    files = [path.strip() for path in options.pop("config_files", "").split(",") if path.strip()]
    where: dict[str, Any] = {key: options.pop(key, None) for key in ("output", "cache")}
    where["data_path"] = options.pop("data_path", "dataset")
    exported, imported = options.pop("export_batch", None), options.pop("import_batch", None)
    given = {key: parse_value(text) for key, text in options.items()}
    split = split_values(files, given)
    given = {key: value for key, value in given.items() if key not in split}
    chosen = read_options(files, given, purpose.options, run_keys(name, dataset) if files else ())
    try:
        done = purpose.enrich(
            dataset,
            chosen,
            **where,
            split=split,
            export_batch=Path(exported) if exported else None,
            import_batch=Path(imported) if imported else None,
        )
    except BatchPending as pending:
        say(pending)
        return 0
    say(done.report, lines=True)
    say(f"asked now: {done.asked:,}; answers that were there before: {done.cached:,}")
    say(f"files: {done.folder}/{dataset}{purpose.first} …")
    if done.share < chosen.min_coverage:
        say(
            f"error: {done.share:.1%} of {purpose.covered}, fewer than "
            f"--min_coverage={chosen.min_coverage:g}; the files are written all the same",
            file=sys.stderr,
        )
        return 1
    return 0
