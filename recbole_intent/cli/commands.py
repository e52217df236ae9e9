"""The table of commands and their options: parsing, help and messages come from it."""

from recbole_intent.cli.options import Command, option
from recbole_intent.config.command_keys import COMPARE, PREPARE, RECOMMEND, TUNE
from recbole_intent.config.key_kinds import Choice, Listing, Whole, Word

_WORDS = Listing(Word())
_MODEL = option("model=MODEL", "as for a run", short="m", required=True)
_DATASET = option("dataset=NAME", "a prepared dataset", short="d", required=True)
_FILES = option("config_files=A,B", "YAML files with further keys; later ones win", kind=_WORDS)
_RUN = option("run=FOLDER", "the folder of a finished run", required=True)
_USERS_HISTORY = option(
    "history=PART",
    "interactions that users are known by: all (default), train or valid",
    RECOMMEND.rows["history"],
)
_DEVICE = (
    option("device=NAME", "auto, cpu, cuda, cuda:1; the run's if absent"),
    option("threads=N", "CPU threads; the run's if absent", kind=Whole(1)),
    option("eval_batch_size=N", "histories per batch; the run's if absent", kind=Whole(1)),
)
_UNKNOWN = option("allow_unknown", "accept keys that no default file knows")
_DATA_PATH = option("data_path=DIR", "parent folder of datasets (dataset)")
_TUNED = option(
    "tuned",
    "values of properties/tuned, the best of a search, under all that is given",
    is_key=True,
)
_SPREADSHEET = (
    "A spreadsheet takes a text that begins with =, +, - or @ for a formula, unless the columns "
    "of the .csv file are imported as text."
)

TRAIN = Command(
    "",
    "train",
    "train a model, choose its epoch on validation, test it once",
    ["--model=MODEL --dataset=NAME [--KEY=VALUE …]", "COMMAND [--help | --OPTION=VALUE …]"],
    (
        option(
            "model=MODEL",
            "IGRSR, SASRec, LightGCN … (see `models`), or package.module:Class",
            short="m",
            required=True,
        ),
        option(
            "dataset=NAME",
            "a prepared dataset; ml-100k comes with RecBole",
            short="d",
            required=True,
        ),
        _FILES,
        option(
            "preset=NAME",
            "values of properties/preset under all that is given; paper: what a paper says",
            is_key=True,
        ),
        _TUNED,
        option(
            "task=TASK",
            "next-item: all items are ranked; direct: each target among 99 drawn items",
            is_key=True,
        ),
        option("output=DIR", "folder of the run; saved/MODEL-DATASET-SEED-… if absent"),
        option("fresh", "overwrite the run in that folder"),
        _UNKNOWN,
        option("version", "print the version"),
    ),
    about="Train a model, choose its epoch on validation, and test it once. The same command again "
    "continues a run that was cut off and reports one that is finished.",
    keys="any key of RecBole or of properties/, such as --learning_rate=5e-4",
    notes="RECBOLE_INTENT_TRACEBACK=1 in the environment shows the traceback of an error.",
    helps=True,
)

_ENRICH_USAGE = "--dataset=NAME [--llm.model=MODEL] [--KEY=VALUE …]"
_ENRICH = (
    _DATASET,
    option("output=DIR", "of the files; the dataset's own folder if absent"),
    option(
        "cache=FILE",
        "of all answers so far, shared by all outputs; NAME.answers.sqlite next to the dataset if "
        "absent",
    ),
    _DATA_PATH,
    option(
        "config_files=A,B",
        "YAML files with options; later ones win. Files of runs will do: only keys of the split "
        "are read from them",
        kind=_WORDS,
    ),
    option(
        "eval_args=…",
        "and the other keys of a run that decide which interactions are training; another split "
        "than the dataset's own gets a folder of its own",
        is_key=True,
    ),
    option("export_batch=FILE", "write the next requests for OpenAI's batch service; ask nothing"),
    option("import_batch=FILE", "read its results, then go on as far as they reach"),
)
_ENRICH_NOTES = (
    "Each answer is stored as it comes: the same command continues where it was cut off, and no "
    "question is asked twice. A model never sees interactions of validation and test, but for "
    "--for=PO4ISR, where it is the recommender."
)


def _enrich(product: str, summary: str, about: str, file: str, examples: str) -> Command:
    return Command(
        f"enrich {product}",
        "enrich",
        summary,
        [_ENRICH_USAGE],
        _ENRICH,
        about,
        f"any option of properties/enrich/{file}.yaml, such as {examples}",
        _ENRICH_NOTES,
    )


COMMANDS = (
    Command(
        "models", "models", "list all models: paper, tasks, needs, fast path", ["[--family=NAME]"],
        (
            option(
                "family=NAME",
                "only these",
                kind=Choice("sequential", "session", "general", "generative"),
            ),
        ),
    ),
    Command(
        "prepare", "prepare", "turn raw files into a dataset, and count it",
        ["--dataset=NAME [--source=PATH]"],
        (
            option("dataset=NAME", "name to give the dataset", short="d", required=True),
            option("source=PATH", "raw file or folder; public files are downloaded if absent"),
            option("output=DIR", "folder for the atomic files; DATA_PATH/NAME if absent"),
            _DATA_PATH,
            option("k_core=N", row=PREPARE.rows["k_core"]),
            option("min_rating=X", "least rating; lower ones are no interactions",
                   PREPARE.rows["min_rating"]),
            option("columns=OURS=THEIRS,…", "column names where they differ"),
            option(
                "sessions=KEY=VALUE,…",
                "cut histories into sessions: max_session_length=20,min_session_length=3 and, if "
                "idleness ends one, session_gap=SECONDS",
            ),
            option("drop_without_text", "drop items with neither title nor description"),
            option("drop_duplicates", "keep the first of equal rows"),
            option("fill_items", "give empty text to items that the items file lacks"),
        ),
        "Turn raw files into atomic files in dataset/NAME/, and count them.",
        notes="Sources, recognised by content: Amazon 2014, 2018 and 2023 reviews, Yelp, "
        "MovieLens, tables with a header line or in Parquet, `user item item …` lines, RecBole's "
        "atomic files.",
    ),
    Command(
        "enrich", "enrich", "write intents, profiles or text vectors for a dataset",
        [f"intents|profiles|vectors {_ENRICH_USAGE}", f"--for=MODEL {_ENRICH_USAGE}"],
        (option("for=MODEL", "all that this model reads"), *_ENRICH),
        "What a language model says about a dataset, once, before training. `enrich intents`: "
        "intents of training sessions; `enrich profiles`: texts of items and users; `enrich "
        "vectors`: vectors of these texts. Each has its own --help.",
        "an option of properties/enrich",
        _ENRICH_NOTES,
        helps=True,
    ),
    _enrich(
        "intents",
        "intents of training sessions",
        "Ask a language model for the intents of training sessions, and validate them.",
        "VELI4SBR",
        "--intents=metadata (categories, without a language model), --llm.source=embedded, "
        "--sample=0.25, --limit=100, --window=32, --validate=likelihood, --concurrency=8, "
        "--runner=ray, --min_coverage=0.5 (a smaller share of usable answers: exit code 1)",
    ),
    _enrich(
        "profiles",
        "texts of items and users",
        "Ask a language model for texts of items and users, from training interactions alone.",
        "ISRF",
        "--semantics=metadata (titles and categories, without a language model), "
        "--users_sample=20, --concurrency=8, --runner=ray",
    ),
    _enrich(
        "vectors",
        "vectors of these texts",
        "Encode the texts of `enrich profiles` with a sentence encoder.",
        "ISRF",
        "--semantics=metadata, --encoder=FOLDER, --texts=[fused,positive,negative]",
    ),
    Command(
        "evaluate", "evaluate", "test a finished run under other conditions",
        ["FOLDER [--KEY=VALUE …]"],
        (
            _RUN,
            option("noise=…", "in the histories: {ratio: 0.2, kind: replace}", is_key=True),
            option("mask_history=True", "rank without the history; or both", is_key=True),
            option("task=TASK", "next-item or direct", is_key=True),
        ),
        "Rank the test targets again with the best weights, under other conditions.",
        "other keys that need no training: metrics, topk, n_candidates, device …",
        operand="run",
    ),
    Command(
        "leaderboard", "leaderboard", "all finished runs, a table per dataset and protocol",
        ["[--runs=DIR,DIR] [--output=FILE.md]"],
        (
            option("runs=DIR,DIR", "folders of runs, at any depth (saved)", kind=_WORDS),
            option("output=FILE.md", "the tables; the page is next to it (leaderboard.md)"),
        ),
        "Collect the tests of finished runs, with and without the history where `evaluate` has "
        "ranked both, next to the numbers that authors print.",
    ),
    Command(
        "compare", "compare", "train several models under one protocol and test their differences",
        [
            "--models=A,B,… --dataset=NAME [--seeds=…] [--KEY=VALUE …]",
            "--reproduce=igrsr-table2 [--datasets=A,B] [--KEY=VALUE …]",
        ],
        (
            option("models=A,B", "names as of --model, or labels of the --params file",
                   kind=_WORDS, short="m"),
            option("dataset=NAME", "a prepared dataset", short="d"),
            option("seeds=2020,2021", "every model is trained with each (2020)",
                   kind=Listing(Whole(0, 2**32 - 1))),
            option("reference=LABEL", "tested against all others, which are the baselines (the "
                   "first of --models)"),
            option("params=FILE", "YAML: `label: {model: NAME, KEY: VALUE …}`, several of one "
                   "model too; or MODEL:FILE,MODEL:FILE with flat files, such as those of `tune`"),
            option("noise=0.1,0.2", "also test with this share of noise in the histories"),
            option("noise_kinds=A,B", "replace, insert, delete, shuffle (replace)",
                   COMPARE.rows["noise_kinds"]),
            option("workers=N", "trainings side by side (1)", COMPARE.rows["workers"]),
            option("output=DIR", "of tables and pictures; saved/compare-NAME-… if absent"),
            option("figures=FORMAT", "png, svg or pdf (png)", COMPARE.rows["figures"]),
            option("reproduce=NAME", "a table of a paper, our numbers next to the printed ones, "
                   "with the paper's values unless --preset=ours"),
            option("datasets=A,B", "only these of the paper's table", kind=_WORDS),
            _TUNED,
            option("preset=paper", "the papers' values, for the models that have them",
                   is_key=True),
            option("task=direct", "rank each target among 99 drawn items, the same for all "
                   "models, instead of all items", is_key=True),
            option("mask_history=both", "also rank without the history (with True: only so)",
                   is_key=True),
            option("also=TASK", "test the same runs on this task too; it chooses nothing",
                   kind=Listing(Word(), 0)),
            option("fresh", "train again"),
            _UNKNOWN,
            _FILES,
        ),
        "Train several models under one protocol, test their differences, and write tables and "
        "figures. Finished runs are read again, and a comparison that was cut off continues.",
        "any key for all models; a model that lacks it is trained without, which the report says. "
        "--LABEL.KEY=VALUE is for one model",
        f"Keys of the protocol (eval_args, metrics, epochs …) are the same for all. {_SPREADSHEET}",
        helps=True,
    ),
    Command(
        "tune", "tune", "search hyper-parameters on validation, test the best once",
        [
            "--model=MODEL --dataset=NAME [--trials=32] [--KEY=VALUE …]",
            "--models=A,B,… --dataset=NAME --budget=16x [--KEY=VALUE …]",
        ],
        (
            option("model=MODEL", "as for a run", short="m"),
            option("models=A,B", "search each with the same budget, and report all", kind=_WORDS),
            _DATASET,
            _FILES,
            option("budget=16x", "16 trials for every model; 16x30: of 30 epochs each",
                   TUNE.rows["budget"]),
            option("trials=N", "number of trials (16)", TUNE.rows["trials"]),
            option("search=FILE", "YAML of what to search (properties/search/MODEL.yaml)"),
            option("resources=cpu=1,gpu=0.25", "of a trial; fractions share a GPU"),
            option("address=HOST", "of a Ray cluster; all paths lie on storage that it shares"),
            option("algorithm=NAME", "random or optuna (random)", TUNE.rows["algorithm"]),
            option("scheduler=NAME", "stops poor trials: asha, median or none (asha)",
                   TUNE.rows["scheduler"]),
            option("grace=N", "epochs that every trial gets (a tenth of --epochs)",
                   TUNE.rows["grace"]),
            option("reduction=X", "asha keeps the best 1/X (3)", TUNE.rows["reduction"]),
            option("output=DIR", "folder of the search; saved/tune/… if absent"),
            option("write_tuned", "write the best values to properties/tuned/NAME/MODEL.yaml, for "
                   "--tuned"),
            option("resume", "continue a search that was cut off"),
            option("fresh", "throw away the search in that folder"),
            _UNKNOWN,
        ),
        "Search hyper-parameters on validation with Ray Tune, then test the best trial once.",
        "a key for all trials, which is then not searched",
    ),
    Command(
        "recommend", "recommend", "the best items for users or new histories",
        ["FOLDER (--users=196,22 | --histories=FILE) [--output=FILE]"],
        (
            _RUN,
            option("users=196,22", "ids, `all`, or a file with a user id in each line"),
            option("histories=FILE", "new histories (JSON lines, .csv, or a table)"),
            option("output=FILE", ".parquet, .csv or .jsonl; the first lists are shown if absent"),
            option("k=N", "items per list (10)", RECOMMEND.rows["k"]),
            _USERS_HISTORY,
            option("include_history", "items of the history may come again"),
            option("index=faiss", "an approximate search, for catalogues of millions",
                   RECOMMEND.rows["index"]),
            option("explain", "report the intents too (FILE.explained.jsonl)"),
            option("picture=FILE.png", "with --explain: the first history among the intents"),
            *_DEVICE,
        ),
        "The best items for users of the dataset, or for new histories.",
        notes='A line of a histories file is ["i1", "i2"] or {"user": "u", "items": ["i1", "i2"]}, '
        "the oldest item first; a row of a .csv file is item ids; a table (.parquet, .csv, .tsv) "
        "has the dataset's columns of users, items and times. A history without a known item gets "
        "the popular items (source: popular). Equal scores are in the order of items in the .inter "
        f"file. {_SPREADSHEET} On the screen, control characters are replaced.",
        operand="run",
    ),
    Command(
        "serve", "serve", "an HTTP server over a finished run",
        ["FOLDER [--host=ADDRESS] [--port=N]"],
        (
            _RUN,
            option("host=ADDRESS", "to listen at (127.0.0.1: reached from this machine alone)"),
            option("port=N", "0 for any free one (8000)", kind=Whole(0, 65535)),
            _USERS_HISTORY,
            *_DEVICE,
        ),
        "Answer requests for recommendations over HTTP until Ctrl-C or SIGTERM: /recommend, "
        "/similar, /explain and /health; /docs describes and tries them. Needs the extra serve.",
        notes="Requests that arrive while the model is busy share its next pass. There is no "
        "password and no encryption: for other machines, put a proxy in front of it.",
        operand="run",
    ),
    Command(
        "demo", "demo", "train models with intents and baselines on ml-100k", ["[--model=MODEL]"],
        (
            option(
                "model=MODEL",
                "IGRSR (default), VELI4SBR or ISRF",
                short="m",
                kind=Choice("IGRSR", "VELI4SBR", "ISRF"),
            ),
            option("fresh", "train again"),
        ),
    ),
)  # fmt: skip
FLAGS = frozenset(
    one.name for command in (TRAIN, *COMMANDS) for one in command.options if not one.value
)
