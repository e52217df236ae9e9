"""Arguments to one call; mistakes of the user become one line and exit code 2."""

import argparse
import difflib
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from recbole_intent.errors import UserError

_USAGE = """\
usage: run_recbole_intent.py --model=MODEL --dataset=DATASET [--KEY=VALUE …]
       run_recbole_intent.py prepare --dataset=DATASET [--source=PATH] [--help]
       run_recbole_intent.py evaluate --run=FOLDER [--noise='{ratio: 0.2}'] [--mask_history=True]
       run_recbole_intent.py demo [--fresh]

Train a model, choose its epoch on validation, test it once. The same command again continues a
run that was cut off and reports one that is finished.

  --model=MODEL         IGRSR, SASRec, GRU4Rec, BERT4Rec, LightGCN …, or package.module:Class
  --dataset=DATASET     a prepared dataset; ml-100k comes with RecBole
  --config_files=A,B    YAML files with further keys; later ones win
  --output=DIR          folder of the run; saved/<model>-<dataset>-<seed>-<fingerprint> if not given
  --fresh               start anew in that folder
  --allow-unknown       accept keys that no default file knows
  --KEY=VALUE           any key of RecBole or of properties/, such as --learning_rate=5e-4
"""

_FLAGS = ("fresh", "allow-unknown")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for a mistake of the user, 130 for Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("recbole_intent").setLevel(logging.INFO)
    try:
        if argv[:1] == ["prepare"]:
            return _prepare(argv[1:])
        if not argv or argv[0] == "help" or not {"-h", "--help"}.isdisjoint(argv):
            print(_USAGE, end="")
            return 0
        if argv[:1] == ["evaluate"]:
            return _evaluate(argv[1:])
        if argv[:1] == ["demo"]:
            return _demo(argv[1:])
        return _run(argv)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command continues where this one ended", file=sys.stderr)
        return 130


def _run(argv: list[str]) -> int:
    options, flags = parse_arguments(argv)
    for name in ("model", "dataset"):
        if not options.get(name):
            raise UserError(f"--{name}=… is missing; --help shows how")
    from recbole_intent.config import parse_value
    from recbole_intent.evaluation.report import metric_table
    from recbole_intent.experiment import run

    files = [path.strip() for path in options.pop("config_files", "").split(",") if path.strip()]
    model, dataset = options.pop("model"), options.pop("dataset")
    output = options.pop("output", None)
    done = run(
        model,
        dataset,
        files,
        {key: parse_value(value) for key, value in options.items()},
        output=output,
        fresh="fresh" in flags,
        allow_unknown="allow-unknown" in flags,
    )
    if done.reported:
        print(f"{done.folder} is finished; --fresh would run it anew")
    print(metric_table([done.result]))
    print(f"results: {done.folder}")
    return 0


def parse_arguments(argv: Sequence[str]) -> tuple[dict[str, str], set[str]]:
    """Split `--key=value` words and flags.

    Raises:
        UserError: a word of another form, or a key given twice with different values.
    """
    options: dict[str, str] = {}
    flags: set[str] = set()
    for word in argv:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise UserError(f"{word}: not of the form --key=value; --help shows how")
        if not equals:
            if name not in _FLAGS:
                raise UserError(f"{word}: needs a value: {word}=…")
            flags.add(name)
        elif name in _FLAGS:
            raise UserError(f"{word}: --{name} takes no value")
        elif options.setdefault(name, value) != value:
            raise UserError(f"--{name}: given twice, as {options[name]!r} and {value!r}")
    return options, flags


def _prepare(argv: list[str]) -> int:
    from recbole_intent.data.dataset_properties import paper_counts
    from recbole_intent.data.prepare import prepare

    parser = _prepare_parser()
    found, unknown = parser.parse_known_args(argv)
    arguments = vars(found)
    if unknown:
        name = unknown[0].removeprefix("--").partition("=")[0]
        near = difflib.get_close_matches(name, arguments, n=1)
        hint = f"; did you mean --{near[0]}?" if near else ""
        parser.error(f"{unknown[0]}: unknown option{hint}")
    if not arguments["dataset"]:
        parser.error("--dataset=… is missing")
    statistics = prepare(**arguments)
    print(statistics.table(paper_counts(arguments["dataset"])))
    return 0


class _Parser(argparse.ArgumentParser):
    """Says a mistake in one line, as all of this command line does."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"prepare: {message}; prepare --help shows how")


def _prepare_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_recbole_intent.py prepare",
        description="Turn raw files into atomic files in dataset/<name>/, and count them.",
        epilog="Sources: Amazon 2014, 2018 and 2023 reviews, Yelp, tables with a header line, "
        "`user item item …` lines, RecBole's atomic files; recognised by content.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--dataset", help="name to give the dataset")
    option("--source", help="raw file or folder; the public files are downloaded if not given")
    option("--output", help="folder for the atomic files; DATA_PATH/DATASET if not given")
    option("--data_path", default="dataset", help="parent folder of datasets (dataset)")
    option("--k_core", type=int, help="least interactions of every user and item")
    option("--min_rating", type=float, help="least rating; lower ones are no interactions")
    option("--columns", type=_columns, help="ours=theirs,…: column names where they differ")
    # None, not False, where a flag is absent: the dataset's own options then hold.
    for name, text in (
        ("drop_without_text", "drop items with neither title nor description"),
        ("drop_duplicates", "keep the first of equal rows"),
        ("fill_items", "give empty text to items that the items file lacks"),
    ):
        option(f"--{name}", action="store_true", default=None, help=text)
    return parser


def _columns(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(ours and theirs for ours, _, theirs in pairs):
        raise UserError(f"--columns={text}: expected user_id=theirs,item_id=theirs,…")
    return {ours: theirs for ours, _, theirs in pairs}


def _evaluate(argv: list[str]) -> int:
    options, flags = parse_arguments(argv)
    if flags:
        raise UserError(f"--{min(flags)}: not an option of evaluate")
    if not options.get("run"):
        raise UserError("--run=FOLDER is missing: the folder of a finished run")
    from recbole_intent.config import parse_value
    from recbole_intent.evaluate import evaluate_run
    from recbole_intent.evaluation.report import text_table

    folder = options.pop("run")
    done = evaluate_run(folder, {key: parse_value(value) for key, value in options.items()})
    rows = [[name, f"{value:.4f}"] for name, value in done.test.items()]
    print(text_table(["metric", "test"], rows))
    print(f"results: {done.path}")
    return 0


def _demo(argv: list[str]) -> int:
    for word in argv:
        if word != "--fresh":
            raise UserError(f"demo: takes no arguments but --fresh, got {word}")
    from recbole_intent.demo import demo

    return demo(fresh=bool(argv))
