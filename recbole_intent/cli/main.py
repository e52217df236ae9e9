"""Command-line entry point: runs one command and reports user errors in one line."""

import argparse
import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import say, show_log

_USAGE = """\
usage: run_recbole_intent.py --model=MODEL --dataset=DATASET [--KEY=VALUE …]
       run_recbole_intent.py prepare --dataset=DATASET [--source=PATH] [--help]
       run_recbole_intent.py evaluate --run=FOLDER [--noise='{ratio: 0.2}'] [--mask_history=True]
                                      [--task=direct]
       run_recbole_intent.py compare --models=A,B,… --dataset=DATASET [--seeds=…] [compare --help]
       run_recbole_intent.py enrich --for=VELI4SBR|ISRF --dataset=DATASET [enrich --help]
       run_recbole_intent.py recommend --run=FOLDER (--users=all | --histories=FILE) [--help]
       run_recbole_intent.py tune --model=MODEL --dataset=DATASET --trials=32 [tune --help]
       run_recbole_intent.py demo [--model=IGRSR|VELI4SBR|ISRF] [--fresh]

Train a model, choose its epoch on validation, test it once. The same command again continues a
run that was cut off and reports one that is finished.

  --model=MODEL         IGRSR, SASRec, GRU4Rec, BERT4Rec, LightGCN …, or package.module:Class
  --dataset=DATASET     a prepared dataset; ml-100k comes with RecBole
  --config_files=A,B    YAML files with further keys; later ones win
  --preset=paper        values of properties/preset: what a paper says, under all that is given
  --task=direct         rank each target among 99 drawn items instead of all (next-item)
  --output=DIR          folder of the run; saved/<model>-<dataset>-<seed>-<fingerprint> if not given
  --fresh               start anew in that folder
  --allow-unknown       accept keys that no default file knows
  --KEY=VALUE           any key of RecBole or of properties/, such as --learning_rate=5e-4

RECBOLE_INTENT_TRACEBACK=1 in the environment shows where in the code a mistake was met.
"""

_FLAGS = ("fresh", "allow-unknown")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 on success, 2 for a user error, 130 for Ctrl-C, 141 if the reader of the output closed the
    pipe.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # escape what the terminal lacks
            stream.reconfigure(errors="backslashreplace")
    show_log()
    try:
        code = _dispatch(argv)
        sys.stdout.flush()  # here, where a closed pipe can still be handled
        return code
    except UserError as error:
        return _refuse(str(error))
    except RuntimeError:
        if not _was_told():
            raise
        return 2  # another process has already reported the error
    except BrokenPipeError:
        # The reader of our output, such as `head`, closed the pipe. Python would flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # a shell's code for SIGPIPE
    except OSError as error:
        # The system refused something that this program cannot fix: a full disk, too many open
        # files, a name that is too long.
        reason = error.strerror or str(error) or type(error).__name__
        return _refuse(f"{error.filename}: {reason}" if error.filename is not None else reason)
    except UnicodeEncodeError as error:  # in an option or a YAML file
        return _refuse(f"{error.object[:80]!r}: half a surrogate pair, which no file can hold")
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") == "0":
            say(
                "\nstopped; the same command continues where this one ended",
                file=sys.stderr,
                lines=True,
            )
        return 130


def _refuse(message: str) -> int:
    """Print the error in one line and return the exit code; call it in an `except` block."""
    if os.environ.get("RECBOLE_INTENT_TRACEBACK"):
        traceback.print_exc()
    line = " ".join(message.split())
    if len(line) > 1200:  # a word of the user's own that is longer than a screen
        line = f"{line[:800]} … {line[-300:]}"
    _tell(f"error: {line}")
    return 2


def _dispatch(argv: list[str]) -> int:
    if argv[:1] and not argv[0].startswith("-") and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(f"{argv[0]}: is for one process; start it without torchrun")
    if argv[:1] == ["prepare"]:
        return _prepare(argv[1:])
    if argv[:1] == ["recommend"]:
        return _recommend(argv[1:])
    if argv[:1] == ["compare"]:
        return _compare(argv[1:])
    if argv[:1] == ["enrich"]:
        return _enrich(argv[1:])
    if argv[:1] == ["tune"]:
        return _tune(argv[1:])
    if not argv or argv[0] == "help" or not {"-h", "--help"}.isdisjoint(argv):
        say(_USAGE, end="", lines=True)
        return 0
    if argv[:1] == ["evaluate"]:
        return _evaluate(argv[1:])
    if argv[:1] == ["demo"]:
        return _demo(argv[1:])
    return _run(argv)


def _tell(message: str) -> None:
    """Print to stderr, once if torchrun runs several processes."""
    if "WORLD_SIZE" not in os.environ:  # do not spend seconds importing torch
        say(message, file=sys.stderr)
        return
    from recbole_intent.trainer.distributed import tell_once

    tell_once(message)


def _was_told() -> bool:
    if "WORLD_SIZE" not in os.environ:
        return False
    from recbole_intent.trainer.distributed import was_told

    return was_told()


def _run(argv: list[str]) -> int:
    options, flags = parse_arguments(argv)
    if not options.get("model"):
        raise UserError("--model=… is missing; --help shows how")
    from recbole_intent.config.registry import get_spec
    from recbole_intent.evaluation.report import metric_table
    from recbole_intent.runs.experiment import run
    from recbole_intent.trainer import distributed
    from recbole_intent.utils.parsing import parse_value

    get_spec(options["model"])  # report a wrong model before a missing dataset
    if not options.get("dataset"):
        raise UserError("--dataset=… is missing; --help shows how")

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
    is_main = distributed.is_main()
    distributed.leave()
    if not is_main:
        return 0
    if done.reported:
        say(f"{done.folder} is finished; --fresh would run it anew")
    say(metric_table([done.result]), lines=True)
    say(f"results: {done.folder}")
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
    from recbole_intent.data.prepare.dataset_properties import paper_counts
    from recbole_intent.data.prepare.prepare import prepare

    parser = _prepare_parser()
    arguments = parser.options(argv)
    if not arguments["dataset"]:
        parser.error("--dataset=… is missing")
    statistics = prepare(**arguments)
    say(statistics.table(paper_counts(arguments["dataset"])), lines=True)
    return 0


class _Parser(argparse.ArgumentParser):
    """An argument parser that reports errors in one line, like all commands."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.split()[-1]
        raise UserError(f"{command}: {message}; {command} --help shows how")

    def options(self, argv: list[str]) -> dict[str, Any]:
        """Return the values of all options; the error for a mistyped one names the nearest."""
        found, unknown = self.parse_known_args(argv)
        if unknown:
            name = unknown[0].removeprefix("--").partition("=")[0]
            near = difflib.get_close_matches(name, vars(found), n=1)
            hint = f"; did you mean --{near[0]}?" if near else ""
            self.error(f"{unknown[0]}: unknown option{hint}")
        return vars(found)


def _prepare_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_recbole_intent.py prepare",
        description="Turn raw files into atomic files in dataset/<name>/, and count them.",
        epilog="Sources: Amazon 2014, 2018 and 2023 reviews, Yelp, MovieLens, tables with a header "
        "line or in Parquet, `user item item …` lines, RecBole's atomic files; recognised by "
        "content.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--dataset", help="name to give the dataset")
    option("--source", help="raw file or folder; the public files are downloaded if not given")
    option("--output", help="folder for the atomic files; DATA_PATH/DATASET if not given")
    option("--data_path", default="dataset", help="parent folder of datasets (dataset)")
    option("--k_core", type=int, help="least interactions of every user and item")
    option("--min_rating", type=float, help="least rating; lower ones are no interactions")
    option("--columns", help="ours=theirs,…: column names where they differ")
    option(
        "--sessions",
        help="cut histories into sessions: max_session_length=20,min_session_length=3 and, if "
        "idleness is to end one, session_gap=SECONDS",
    )
    # None, not False, for an absent flag: the dataset's own options then apply.
    for name, text in (
        ("drop_without_text", "drop items with neither title nor description"),
        ("drop_duplicates", "keep the first of equal rows"),
        ("fill_items", "give empty text to items that the items file lacks"),
    ):
        option(f"--{name}", action="store_true", default=None, help=text)
    return parser


def _evaluate(argv: list[str]) -> int:
    options, flags = parse_arguments(argv)
    if flags:
        raise UserError(f"--{min(flags)}: not an option of evaluate")
    if not options.get("run"):
        raise UserError("--run=FOLDER is missing: the folder of a finished run")
    from recbole_intent.evaluation.report import among_candidates, text_table
    from recbole_intent.runs.evaluate import evaluate_run
    from recbole_intent.utils.parsing import parse_value

    folder = options.pop("run")
    done = evaluate_run(folder, {key: parse_value(value) for key, value in options.items()})
    rows = [[name, f"{value:.4f}"] for name, value in done.test.items()]
    say(text_table(["metric", "test"], rows), lines=True)
    if done.candidates:
        say(among_candidates(done.candidates))
    say(f"results: {done.path}")
    return 0


def _compare(argv: list[str]) -> int:
    from recbole_intent.cli.compare import USAGE, run_command

    if not argv or not {"-h", "--help"}.isdisjoint(argv):
        say(USAGE, end="", lines=True)
        return 0
    options, flags = parse_arguments(argv)
    run_command(options, flags, argv)
    return 0


def _enrich(argv: list[str]) -> int:
    from recbole_intent.cli.enrich import USAGE, run_command

    if not argv or not {"-h", "--help"}.isdisjoint(argv):
        say(USAGE, end="", lines=True)
        return 0
    return run_command(*parse_arguments(argv))


def _recommend(argv: list[str]) -> int:
    parser = _recommend_parser()
    arguments = parser.options(argv)
    if not arguments["run"]:
        parser.error("--run=FOLDER is missing: the folder of a finished run")
    from recbole_intent.recommend.recommend import recommend_run

    # Options that are not given keep the run's values.
    say(recommend_run(**{k: v for k, v in arguments.items() if v is not None}), lines=True)
    return 0


def _recommend_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_recbole_intent.py recommend",
        description="The best items for users of the dataset, or for new histories.",
        epilog='A line of a histories file is ["i1", "i2"] or {"user": "u", "items": '
        '["i1", "i2"]}, the oldest item first; a row of a .csv file is item ids; a table '
        "(.parquet, .csv, .tsv) has the dataset's columns of users, items and times. A history "
        "without a known item gets the popular items (source: popular). Equal scores go by the "
        "order of items in the .inter file. Files hold titles and ids as they are: a spreadsheet "
        "takes a title that begins with =, +, - or @ for a formula, unless the columns of the .csv "
        "file are imported as text. On the screen, control characters are replaced.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--run", help="folder of a finished run")
    option("--users", help="all, a file with a user id in each line, or ids: 196,22")
    option("--histories", help="a file of new histories (JSON lines, .csv, or a table)")
    option("--output", help="a .parquet, .csv or .jsonl file; the first lists are shown if absent")
    option("--k", type=int, help="items a list (10)")
    option("--history", help="what users are known by: all (default), train or valid interactions")
    option("--include_history", action="store_true", help="items of the history may come again")
    option("--index", help="faiss: an approximate search, for catalogues of millions")
    option("--explain", action="store_true", help="tell the intents too (FILE.explained.jsonl)")
    option("--picture", help="with --explain: a .png file, the first history among the intents")
    option("--device", help="auto, cpu, cuda, cuda:1; the run's if absent")
    option("--threads", type=int, help="CPU threads; the run's if absent")
    option("--eval_batch_size", type=int, help="histories a batch; the run's if absent")
    return parser


def _tune(argv: list[str]) -> int:
    parser = _tune_parser()
    given, rest = parser.parse_known_args(argv)
    arguments = vars(given)
    overrides, _ = parse_arguments(rest)
    model, dataset = arguments.pop("model"), arguments.pop("dataset")
    for name, value in (("model", model), ("dataset", dataset)):
        if not value:
            parser.error(f"--{name}=… is missing")
    from recbole_intent.evaluation.report import metric_table
    from recbole_intent.tune.tune import Options, tune
    from recbole_intent.utils.parsing import parse_value

    files = [path.strip() for path in arguments.pop("config_files").split(",") if path.strip()]
    command = ["python", "run_recbole_intent.py", "tune", *argv]
    try:
        done = tune(
            model,
            dataset,
            files,
            {key: parse_value(value) for key, value in overrides.items()},
            Options(**arguments, command=command),
        )
    except KeyboardInterrupt:
        say("\nstopped; the same command with --resume goes on", file=sys.stderr, lines=True)
        return 130
    say(metric_table([done.result]), lines=True)
    say(f"best: trial {done.best.index} of {len(done.trials)}, in {done.folder}/best.yaml")
    failed = [str(trial.index) for trial in done.trials if trial.status == "failed"]
    if failed:
        say(f"failed: trials {', '.join(failed)} (trials.csv says why; --resume tries again)")
    return 0


def _tune_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_recbole_intent.py tune",
        description="Search good hyper-parameters on validation with Ray Tune, then test the best "
        "trial once. All other --KEY=VALUE are configuration keys of every trial.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--model", help="as for a run")
    option("--dataset", help="as for a run")
    option("--config_files", default="", help="as for a run")
    option("--trials", type=int, default=16, help="how many there are to be (16)")
    option("--search", help="YAML file of what to search (properties/search/MODEL.yaml)")
    option("--resources", default="", help='of a trial: "cpu=1,gpu=0.25"; fractions share a GPU')
    option("--address", help="of a Ray cluster; all paths must lie on storage that it shares")
    option("--algorithm", default="random", help="random or optuna (random)")
    option("--scheduler", default="asha", help="stops poor trials: asha, median or none (asha)")
    option("--grace", type=int, help="epochs that every trial gets (a tenth of --epochs)")
    option("--reduction", type=float, default=3, help="asha keeps the best 1/reduction (3)")
    option("--output", help="folder of the search; saved/tune/… if not given")
    option("--resume", action="store_true", help="go on with a search that was cut off")
    option("--fresh", action="store_true", help="throw away the search in that folder")
    option("--allow-unknown", action="store_true", help="accept keys that no default file knows")
    return parser


def _demo(argv: list[str]) -> int:
    options, flags = parse_arguments(argv)
    model = options.pop("model", "IGRSR")
    for word in (*options, *flags - {"fresh"}):
        raise UserError(f"demo: takes --model=… and --fresh alone, got --{word}")
    from recbole_intent.cli.demo import demo

    return demo(model, fresh="fresh" in flags)
