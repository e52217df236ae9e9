"""Command `compare`: turns its command-line options into one call of the comparison."""

from collections.abc import Sequence
from typing import Any

from recbole_intent.compare.compare import compare
from recbole_intent.compare.entries import read_entries
from recbole_intent.compare.reproduce.reproduce import reproduce
from recbole_intent.compare.request import Request
from recbole_intent.config.command_keys import COMPARE
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import parse_value
from recbole_intent.utils.printable import say

USAGE = """\
usage: run_recbole_intent.py compare --models=A,B,… --dataset=DATASET [--KEY=VALUE …]
       run_recbole_intent.py compare --reproduce=igrsr-table2 [--datasets=A,B] [--KEY=VALUE …]

Train several models under one protocol, test their differences, and leave tables and pictures.
Runs that are finished are read again, and a comparison that was cut off goes on.

  --models=A,B          names as of --model, or labels of the --params file
  --seeds=2020,2021     every model is trained with each (2020)
  --reference=MODEL     tested against all others, which are the baselines (the first of --models)
  --params=FILE         YAML: `label: {model: NAME, KEY: VALUE …}`, also several of one model; or
                        MODEL:FILE,MODEL:FILE with flat files, such as those that a search leaves
  --noise=0.1,0.2       test all with so much noise in the histories as well
  --noise_kinds=A,B     of replace, insert, delete, shuffle (replace)
  --workers=N           trainings side by side (1)
  --output=DIR          of tables and pictures; saved/compare-<dataset>-<digest> if not given.
                        Labels in .csv files are as they were given: import them as text where a
                        spreadsheet would take a label that begins with =, +, - or @ for a formula
  --preset=paper        the papers' values (properties/preset), for the models that have them; for
                        one label: `label: {model: IGRSR, preset: paper}`
  --reproduce=NAME      a table of a paper, ours beside the printed; --datasets=A,B restricts it;
                        with the papers' values, unless --preset=ours
  --task=next-item      all items are ranked; direct: each user's target among 1 + 99 candidates,
                        the same for all models (n_candidates, candidates_seed)
  --also=direct         test the same runs on this task too; nothing is trained or chosen for it
  --fresh               train anew
  --allow-unknown       accept keys that no default file knows
  --config_files=A,B    YAML files with keys for all models
  --KEY=VALUE           any key for all models; those of the protocol (eval_args, metrics, epochs …)
                        can be given in no other way
"""


def run_command(options: dict[str, str], flags: set[str], words: Sequence[str]) -> None:
    """Run the comparison and print the main tables and the path of the rest.

    Args:
        options: `--KEY=VALUE` options, with unparsed values.
        flags: `fresh` and `allow-unknown`.
        words: all words after `compare`, quoted in the report.

    Raises:
        UserError: a missing option or an invalid value.
    """
    options = dict(options)
    shared: dict[str, Any] = {
        "seeds": _numbers("seeds", options.pop("seeds", "2020"), int),
        "workers": _numbers("workers", options.pop("workers", "1"), int)[0],
        "config_files": _words(options.pop("config_files", "")),
        "noise": _noise(options),
        "output": options.pop("output", None),
        "fresh": "fresh" in flags,
        "allow_unknown": "allow-unknown" in flags,
        "command": ["compare", *words],
    }
    also = _words(options.pop("also", ""))
    if "reproduce" in options:
        name, datasets = options.pop("reproduce"), _words(options.pop("datasets", ""))
        for key in ("models", "params", "reference", "dataset", "task"):
            if key in options:
                hint = "; --datasets=… restricts it" if key == "dataset" else ""
                raise UserError(f"--{key}: the paper's table says it{hint}")
        for key, asked in (("noise", shared.pop("noise")), ("also", also)):
            if asked:
                raise UserError(f"--{key}: the paper's table says it")
        reproduced = reproduce(name, datasets, {**shared, "overrides": _values(options)})
        say(reproduced.table.text(), lines=True)
        say(f"tables and pictures: {reproduced.folder}")
        return
    dataset = options.pop("dataset", "")
    if not dataset:
        raise UserError("--dataset=… is missing; --help shows how")
    if "datasets" in options:
        raise UserError("--datasets: goes with --reproduce; one --dataset=… at a time")
    reference, params = options.pop("reference", None), options.pop("params", None)
    labels, overrides = _words(options.pop("models", "")), _values(options)
    entries = read_entries(labels, params, dataset, overrides)
    request = Request(
        dataset, entries, reference=reference, overrides=overrides, tasks=also, **shared
    )
    done = compare(request)
    shown = [*list(done.tables.values())[:2], *(done.tables[f"test-{task}"] for task in also)]
    for table in shown:
        say(table.text(), lines=True)
    say(f"all tables: {done.folder / 'report.md'}, with pictures: {done.folder / 'page.html'}")


def _values(options: dict[str, str]) -> dict[str, Any]:
    return {key: parse_value(value) for key, value in options.items()}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(name: str, text: str, kind: type) -> list:
    try:
        found = [kind(word) for word in _words(text)]
    except ValueError:
        found = []
    if not found:
        example = "2020,2021" if kind is int else "0.1,0.2"
        raise UserError(f"--{name}={text}: expected numbers, such as {example}")
    return found


def _noise(options: dict[str, str]) -> list[tuple[str, float]]:
    """(kind, ratio) of the evaluations under noise; a mapping stays a key of all models."""
    kinds = options.pop("noise_kinds", None)
    if isinstance(parse_value(options.get("noise", "~")), dict | None):
        if kinds:
            raise UserError("--noise_kinds: goes with ratios, such as --noise=0.1,0.2")
        return []
    ratios = _numbers("noise", options.pop("noise"), float)
    wanted = _words(kinds or "replace")
    for name, values in (("noise_kinds", wanted), ("noise", ratios)):
        mistake = COMPARE.mistake(name, values)
        if mistake:
            raise UserError(f"--{name}: {mistake}")
    return [(kind, ratio) for kind in wanted for ratio in ratios]
