"""Command `compare`: several models under one protocol, or a table of a paper."""

from collections.abc import Sequence
from dataclasses import replace

from recbole_intent.cli.options import Asked, option
from recbole_intent.compare.ask import compare
from recbole_intent.compare.reproduce.paper_file import read_paper_table
from recbole_intent.config.command_keys import COMPARE
from recbole_intent.evaluation.report import wrapped
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import parse_value
from recbole_intent.utils.printable import say

_RATIOS = option("noise=X", row=COMPARE.rows["noise"])


def command(asked: Asked) -> int:
    """Compare, and print the main tables and the path of the rest."""
    options, keys = dict(asked.options), dict(asked.keys)
    options.setdefault("seeds", [2020])
    if "reproduce" in options:
        return _reproduce(options, keys, asked.words)
    if "noise" in options:
        noise = parse_value(options["noise"])
        is_key = isinstance(noise, dict | None)
        options["noise"] = noise if is_key else _RATIOS.parse([options["noise"]])
    if not options.get("dataset"):
        raise UserError("--dataset=… is missing; compare --help shows how")
    if "datasets" in options:
        raise UserError("--datasets: goes with --reproduce; one --dataset=… at a time")
    models, dataset = options.pop("models", ()), options.pop("dataset")
    if keys.get("mask_history") == "both":
        options["also"] = [*dict.fromkeys([*options.get("also", ()), "masked"])]
        del keys["mask_history"]
    done = compare(models, dataset, **options, command=asked.words, **keys).outcome
    names = ["test", "gain", *(f"test-{task}" for task in options.get("also", ()))]
    shown = [done.tables[name] for name in names if name in done.tables]
    for table in shown:
        say(replace(table, notes=()).text(), lines=True)
    for note in dict.fromkeys(note for table in shown for note in table.notes):
        say(wrapped(note), lines=True)
    say()
    say(f"all tables: {done.folder / 'report.md'}, with pictures: {done.folder / 'page.html'}")
    return 0


def _reproduce(options: dict, keys: dict, words: Sequence[str]) -> int:
    name, datasets = options.pop("reproduce"), options.pop("datasets", ())
    of_table = ("models", "params", "reference", "dataset", "task", "noise", "noise_kinds", "also")
    for key in of_table:
        if key in {**options, **keys}:
            hint = "; --datasets=… restricts it" if key == "dataset" else ""
            raise UserError(f"--{key}: the paper's table says it{hint}")
    read_paper_table(name, datasets)  # answers a wrong name before torch is imported
    from recbole_intent.compare.reproduce.reproduce import reproduce

    done = reproduce(name, datasets, {**options, "command": words, "overrides": keys})
    say(done.table.text(), lines=True)
    say(f"tables and pictures: {done.folder}")
    return 0
