"""The table of configuration keys: type, range, purpose and roles of each key.

These rows apply to every model. A model's own rows take precedence (`ModelSpec.keys` names their
module; RecBole's models share `model/recbole_keys.py`). A key without a row has the type of its
default. Nothing here imports torch.
"""

import difflib
import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

from recbole_intent.config.key_kinds import (
    Anything,
    Choice,
    Either,
    Flag,
    Holding,
    Interval,
    Kind,
    Later,
    Listing,
    Number,
    Optional,
    Parts,
    Pattern,
    Table,
    Whole,
    Word,
    shown,
)

_UNSET = object()

MACHINE = "machine"  # display or place of a run: not in its fingerprint
PROTOCOL = "protocol"  # the same for all models of a comparison
CONDITION = "condition"  # may differ when a finished run is evaluated again
DERIVED = "derived"  # follows from other keys, or belongs to a process: not saved

Values = Mapping[str, Any]
# Alternatives: a key has an effect if all conditions of one of them hold.
Needs = tuple[Mapping[str, Kind], ...]


@dataclass(frozen=True)
class Key:
    """One configuration key.

    Attributes:
        name: as in YAML, and after `--`.
        kind: its accepted values.
        help: one-line description.
        roles: any of MACHINE, PROTOCOL, CONDITION, DERIVED.
        needs: alternative conditions on other keys for this one to have an effect, such as
            `({"use_icr": Choice(True)},)`; empty: it always has an effect.
        neutral: the value at which the key is left out of the fingerprint: the previous behaviour,
            for a key added after runs were made.
        instead: what to use instead of a RecBole key that has no effect here.
        optional: known although no file sets a default.
    """

    name: str
    kind: Kind
    help: str
    roles: Collection[str] = ()
    needs: Needs = ()
    neutral: Any = _UNSET
    instead: str | None = None
    optional: bool = False

    @property
    def is_searchable(self) -> bool:
        """Return whether `tune` may search it; trials of different protocols are not comparable."""
        return not {MACHINE, PROTOCOL} & {*self.roles} and self.name != "model"

    def mistake(self, value: Any, default: Any = _UNSET) -> str | None:
        """Describe an invalid value in words that follow the key; None if it is valid."""
        if self.instead and (default is _UNSET or value != default):
            return f"has no effect here; {self.instead}"
        return self.kind.mistake(value)

    def idle_because(self, values: Values) -> dict[str, Any]:
        """Return the keys and values that disable this key; empty if it has an effect."""
        failing: dict[str, Any] = {}
        for alternative in self.needs:
            wrong = {
                key: values[key]
                for key, kind in alternative.items()
                if key in values and not kind.accepts(values[key])
            }
            if not wrong:
                return {}
            failing = failing or wrong
        return failing


@dataclass(frozen=True)
class Rule:
    """A constraint on several keys.

    Attributes:
        keys: the keys concerned; the rule is skipped if one is absent.
        mistake: describes invalid values, in words that follow the first of `keys`; None if they
            are valid.
    """

    keys: tuple[str, ...]
    mistake: Callable[[Values], str | None]


# Keys of a run that decide which interactions are training, in addition to the files themselves.
SPLIT_KEYS = (
    "eval_args session_split benchmark_filename USER_ID_FIELD ITEM_ID_FIELD TIME_FIELD "
    "field_separator load_col unload_col alias_of_user_id alias_of_item_id val_interval "
    "user_inter_num_interval item_inter_num_interval filter_inter_by_user_or_item rm_dup_inter"
).split()


def _rows(group: Iterable[tuple], **shared: Any) -> Iterator[Key]:
    for name, kind, text in group:
        for one in name.split():
            yield Key(one, kind, text, **shared)


TASKS = ("next-item", "sequential", "direct")
LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop")
SCHEDULES = ("constant", "linear", "cosine")
ACTIVATIONS = ("gelu", "relu", "swish", "tanh", "sigmoid")
NOISE_KINDS = ("replace", "insert", "delete", "shuffle")
PRECISIONS = ("highest", "high", "medium")


def metrics() -> ModuleType:
    """The module of the metrics' definitions."""
    # By name: evaluation stands above this package, and imports point down.
    return importlib.import_module("recbole_intent.evaluation.definitions")


def metric_names() -> list[str]:
    """The names of all metrics, in lower case."""
    return list(metrics().METRICS)


def _at_k() -> Kind:
    known = metrics().METRICS.items()
    names, others = ([n for n, m in known if m.at_k is at_k] for at_k in (True, False))
    return Pattern(
        rf"(?i)({'|'.join(names)})@[1-9]\d{{0,8}}|{'|'.join(others)}",
        f"METRIC@K, such as NDCG@10, with a metric of {', '.join(names)}; or {', '.join(others)}",
        ("NDCG@10", "recall@1", "GAUC"),
        ("NDCG", "NDCG@0", "AUC", "NDGC@10", "NDCG@x"),
    )


_METRIC = Later(lambda: Choice(*metric_names(), ignores_case=True))
_WORDS = Listing(Word(), least=0, unique=True)
_COLUMNS = Optional(
    Table(Either(Choice("*", None), _WORDS), "a mapping such as {inter: [user_id, item_id]}")
)
_SPLIT = Parts(
    {
        "RS": Listing(Number(0), least=1),
        "TS": Listing(Number(0), least=1),
        "LS": Choice("valid_and_test", "valid_only", "test_only"),
    },
    one=True,
    example="{LS: valid_and_test} or {RS: [0.8, 0.1, 0.1]}",
)
_MODE = Pattern(
    r"full|labeled|(uni|pop)[1-9]\d{0,8}",
    "full (--task=direct ranks among drawn items)",
    ("full",),
    ("ful", "uniX", ""),
)
_AT_K = Later(_at_k)
_DIRECT = ({"task": Choice("direct")},)
_FAST = ({"fast_sequences": Choice(True)},)

_DATA = (
    ("USER_ID_FIELD ITEM_ID_FIELD TIME_FIELD", Word(), "column of the .inter file"),
    ("user_inter_num_interval item_inter_num_interval", Optional(Interval(several=False)),
     "how many interactions a user, or an item, must have"),
    ("val_interval", Optional(Table(
        Either(Interval(), Listing(Anything())),
        'a mapping such as {rating: "[3,inf)"}')), "which values of a column are read"),
    ("filter_inter_by_user_or_item", Flag(), "drop interactions of dropped users and items"),
    ("rm_dup_inter", Optional(Choice("first", "last", False)),
     "which of several interactions of a user with an item stays; all if empty"),
    ("eval_args", Parts({
        "split": _SPLIT,
        "order": Choice("TO", "RO"),
        "group_by": Choice("user", "none", None),
        "mode": Either(_MODE, Parts({"valid": _MODE, "test": _MODE})),
    }), "how interactions are split, ordered and ranked"),
    ("epochs", Whole(1), "epochs, at most"),
    ("eval_step", Whole(1), "epochs between two validations"),
    ("stopping_step", Whole(0), "early-stopping patience, in validations"),
    ("seed", Whole(0, 2**32 - 1), "of all random choices"),
    ("valid_metric", _AT_K, "chooses the epoch"),
)  # fmt: skip

_SHARED = (
    *_rows(_DATA, roles=(PROTOCOL,)),
    Key("dataset", Word(), "name of the dataset", (PROTOCOL,)),
    Key("model", Word(), "name of the model, or package.module:Class"),
    Key(
        "preset",
        Optional(Word()),
        "values of properties/preset over the defaults: paper, released, authors; ours: none",
        neutral=None,
    ),
    Key(
        "tuned",
        Flag(),
        "the best values of a search, properties/tuned/DATASET/MODEL.yaml, over the defaults",
        neutral=False,
    ),
    Key("data_path", Word(), "parent folder of datasets", (PROTOCOL, MACHINE)),
    Key("checkpoint_dir", Word(), "folder of all runs", (PROTOCOL, MACHINE)),
    Key(
        "benchmark_filename",
        Optional(Listing(Word(), 3, 3, unique=True)),
        "suffixes of files that are split already: training, validation, test",
        (PROTOCOL,),
        optional=True,
    ),
    Key(
        "session_split",
        Optional(Flag()),
        "follow the .split file of a dataset of sessions",
        (PROTOCOL,),
        optional=True,
    ),
    Key(
        "task",
        Choice(*TASKS),
        "what is ranked: all items (next-item), or a target among drawn items (direct)",
        (PROTOCOL, CONDITION),
        neutral="next-item",
    ),
    Key(
        "n_candidates", Whole(1), "drawn items next to each target", (PROTOCOL, CONDITION), _DIRECT
    ),
    Key("candidates_seed", Whole(0), "of that draw", (PROTOCOL, CONDITION), _DIRECT),
    Key(
        "mask_history",
        Flag(),
        "leave items of earlier splits out of the ranking",
        (PROTOCOL, CONDITION),
    ),
    Key(
        "intent_control",
        Choice("own", "other", "mean", "zero"),
        "whose intents a model reads when it ranks",
        (CONDITION,),
        neutral="own",
    ),
    Key(
        "metrics",
        Listing(_METRIC, unique=True, alone=True),
        "metrics of validation and test",
        (PROTOCOL, CONDITION),
    ),
    Key(
        "topk",
        Listing(Whole(1), unique=True, alone=True),
        "lengths of the lists that metrics look at",
        (PROTOCOL, CONDITION),
    ),
    Key(
        "tail_ratio",
        Number(above=0),
        "the items that TailPercentage counts as rare: a share of those in training, or above 1 a "
        "number of interactions",
        (PROTOCOL, CONDITION),
        ({"metrics": Holding("tailpercentage")},),
        neutral=0.1,
    ),
    Key(
        "noise",
        Optional(
            Parts(
                {
                    "ratio": Number(0, 1),
                    "kind": Choice(*NOISE_KINDS),
                    "where": Choice("test", "train", "both"),
                    "seed": Whole(0),
                },
                required=("ratio",),
                example="{ratio: 0.2, kind: replace, where: test, seed: 2020}",
            )
        ),
        "noise in histories",
        (PROTOCOL, CONDITION),
    ),
    # Training
    Key("train_batch_size", Whole(1), "rows, or targets, of a training batch"),
    Key("learning_rate", Number(0), "of the optimizer"),
    Key("learner", Choice(*LEARNERS, ignores_case=True), "the optimizer"),
    Key("weight_decay", Number(0), "of the optimizer; with adamw it is decoupled"),
    Key(
        "lr_schedule",
        Choice(*SCHEDULES),
        "the learning rate after its warm-up: constant, or falling until the last epoch",
        neutral="constant",
    ),
    Key("warmup_epochs", Number(0), "epochs in which the learning rate rises", neutral=0),
    Key(
        "min_learning_rate",
        Number(0),
        "the learning rate at the end of a schedule",
        needs=({"lr_schedule": Choice("linear", "cosine")},),
        neutral=0,
    ),
    Key(
        "ema_decay",
        Number(0, below=1),
        "decay of the moving average of weights that is validated and kept; 0: none",
        neutral=0,
    ),
    Key(
        "label_smoothing",
        Number(0, below=1),
        "share of a label that is spread over all items, in cross-entropy over items",
        neutral=0,
    ),
    Key(
        "clip_grad_norm",
        Optional(
            Parts(
                {
                    "max_norm": Number(above=0),
                    "norm_type": Either(Number(above=0), Choice("inf")),
                    "error_if_nonfinite": Flag(),
                    "foreach": Optional(Flag()),
                },
                required=("max_norm",),
                example="{max_norm: 1.0}",
            )
        ),
        "bound of the gradient's norm",
    ),
    Key(
        "train_neg_sample_args",
        Either(
            Parts(
                {
                    "distribution": Choice("uniform", "popularity", "none", None),
                    "sample_num": Either(Whole(1), Choice("none")),
                    "alpha": Either(Number(0), Choice("none")),
                    "dynamic": Flag(),
                    "candidate_num": Whole(0),
                },
                example="{distribution: uniform, sample_num: 1}",
            ),
            Choice(None),
        ),
        "negatives of training, of models that draw some",
    ),
    Key(
        "train_targets",
        Optional(Either(Choice("all", "last"), Whole(1))),
        "targets of a user in an epoch: all, the last, or this number, drawn",
        optional=True,
    ),
    Key(
        "passes", Either(Choice("all"), Whole(1)), "groups of targets that share a pass", (), _FAST
    ),
    Key("windows", Choice("exact", "strided"), "which histories late targets have", (), _FAST),
    Key("fast_sequences", Flag(), "index-based sequences"),
    Key("precision", Choice("fp32", "bf16"), "of the forward pass"),
    Key("matmul_precision", Choice(*PRECISIONS), "of products of fp32 matrices"),
    Key("compile", Flag(), "torch.compile of the model"),
    Key("shuffle", Flag(), "shuffle the training data before each epoch"),
    Key("reproducibility", Flag(), "deterministic kernels"),
    Key("repeatable", Flag(), "items of the history may be recommended again"),
    Key("require_pow", Flag(), "power in the loss of embeddings' norms"),
    Key(
        "transform",
        Optional(
            Choice(
                "mask_itemseq", "inverse_itemseq", "crop_itemseq", "reorder_itemseq", "user_defined"
            )
        ),
        "of batches",
    ),
    Key(
        "item_vectors",
        Optional(Word()),
        "PATH of vectors by item id that the item table starts from",
        neutral=None,
    ),
    Key(
        "item_vectors_frozen",
        Flag(),
        "do not train them",
        needs=({"item_vectors": Word()},),
        neutral=False,
    ),
    Key("MAX_ITEM_LIST_LENGTH", Whole(1), "items of a history, the latest"),
    # Data, outside the protocol
    *_rows(
        (
            (
                "RATING_FIELD LABEL_FIELD NEG_PREFIX ITEM_LIST_LENGTH_FIELD LIST_SUFFIX "
                "POSITION_FIELD HEAD_ENTITY_ID_FIELD TAIL_ENTITY_ID_FIELD RELATION_ID_FIELD "
                "ENTITY_ID_FIELD",
                Word(),
                "name of a column, or a part of it",
            ),
            (
                "field_separator seq_separator",
                Pattern("(?s).+", "a text of one letter or more", ("\t", " "), ("",)),
                "between columns, or between elements of a list",
            ),
            ("load_col unload_col unused_col", _COLUMNS, "columns by file"),
            (
                "threshold",
                Optional(Table(Number(), "a mapping such as {rating: 4}")),
                "the least value of a positive",
            ),
            ("normalize_field", Optional(_WORDS), "columns to normalize"),
            ("normalize_all", Optional(Flag()), "normalize all float columns"),
            (
                "preload_weight",
                Optional(Table(Word(), "a mapping such as {id: vector}")),
                "vectors by id",
            ),
            (
                "alias_of_user_id alias_of_entity_id alias_of_relation_id",
                Optional(_WORDS),
                "columns with the same ids",
            ),
            ("kg_reverse_r", Flag(), "triples both ways"),
            (
                "entity_kg_num_interval relation_kg_num_interval",
                Optional(Interval(several=False)),
                "how many triples an entity, or a relation, must have",
            ),
        )
    ),
    *_rows(
        (
            ("additional_feat_suffix", Optional(Listing(Word(), 0, alone=True)), "further files"),
            ("alias_of_item_id", Optional(_WORDS), "columns with the ids of items"),
            ("encoding", Word(), "of the atomic files, such as latin-1; utf-8 if not given"),
            ("discretization", Optional(Anything()), "float columns as classes"),
            ("numerical_features", Optional(_WORDS), "float columns that models read"),
            (
                "seq_len",
                Optional(Table(Whole(1), "a mapping such as {tags: 5}")),
                "longest list by column",
            ),
            ("reg_weight", Either(Number(0), Listing(Number(0))), "L2 regularization"),
        ),
        optional=True,
    ),
    # Machine and output of a run
    Key(
        "device",
        Word("a word such as auto, cpu, cuda, cuda:1"),
        "where it is computed",
        (MACHINE, CONDITION, DERIVED),
        optional=True,
    ),
    Key(
        "threads",
        Optional(Whole(1, 4096)),
        "CPU threads of torch",
        (MACHINE, CONDITION),
    ),
    Key("eval_batch_size", Whole(1), "rows of a ranking batch", (MACHINE, CONDITION)),
    *_rows(
        (
            ("show_progress", Flag(), "draw progress bars"),
            ("tensorboard", Flag(), "write TensorBoard events"),
            ("log_wandb", Flag(), "send the run to Weights & Biases"),
            ("log_mlflow", Flag(), "send the run to MLflow"),
            ("use_gpu", Flag(), "let device: auto take a GPU"),
            ("worker", Whole(0), "processes that load RecBole's batches"),
            ("state", Word(), "level of RecBole's log"),
            ("loss_decimal_place metric_decimal_place", Whole(0, 20), "decimals of RecBole's log"),
        ),
        roles=(MACHINE,),
    ),
    Key("wandb_project", Word(), "there", (MACHINE,), ({"log_wandb": Choice(True)},)),
    Key("mlflow_experiment", Word(), "there", (MACHINE,), ({"log_mlflow": Choice(True)},)),
    *(
        Key(name, Anything(), "RecBole's", roles, instead=instead)
        for name, instead, roles in (
            ("gpu_id", "name the GPU by device: cuda:0, cuda:1 …", (MACHINE, DERIVED)),
            ("save_dataset", "each run reads its dataset again", (MACHINE,)),
            ("dataset_save_path", "each run reads its dataset again", (MACHINE,)),
            ("save_dataloaders", "each run makes its batches again", (MACHINE,)),
            ("dataloaders_save_path", "each run makes its batches again", (MACHINE,)),
            ("enable_amp", "precision: bf16", ()),
            ("enable_scaler", "precision: bf16", ()),
            ("valid_metric_bigger", "it follows from valid_metric", (DERIVED,)),
        )
    ),
    *(
        Key(name, Anything(), "RecBole's", roles, optional=optional)
        for name, roles, optional in (
            ("config_file", (MACHINE,), True),
            ("config_files", (MACHINE,), False),
            ("nproc", (MACHINE,), True),
            ("local_rank", (MACHINE, DERIVED), True),
            ("single_spec", (MACHINE, DERIVED), False),
            ("MODEL_INPUT_TYPE", (DERIVED,), False),
            ("MODEL_TYPE", (DERIVED,), False),
            ("eval_type", (DERIVED,), False),
            ("test_neg_sample_args", (DERIVED,), False),
            ("valid_neg_sample_args", (DERIVED,), False),
        )
    ),
)

SHARED: Mapping[str, Key] = MappingProxyType({key.name: key for key in _SHARED})


def with_role(role: str) -> frozenset[str]:
    """Return the names of the shared keys with a role."""
    return frozenset(name for name, key in SHARED.items() if role in key.roles)


def in_fingerprint(values: Values, table: Mapping[str, Key] = SHARED) -> dict[str, Any]:
    """Return the values that determine what a run computes.

    Machine keys, keys at their neutral value, and protocol keys without effect (candidates, when
    all items are ranked) are left out. So is the path of a registered model's class: `model` and
    `reference` already say which it is, and a module that moves must not change its runs.
    """
    return {name: value for name, value in values.items() if _counts(name, value, values, table)}


def _counts(name: str, value: Any, values: Values, table: Mapping[str, Key]) -> bool:
    if name == "model_class":
        return value.partition(".")[0] not in ("recbole", "recbole_intent")
    key = table.get(name)
    if key is None:
        return True
    is_idle = PROTOCOL in key.roles and key.idle_because(values)
    is_neutral = key.neutral is not _UNSET and value == key.neutral
    return MACHINE not in key.roles and not is_idle and not is_neutral


# --- Constraints on several keys -----------------------------------------------------------------


def _heads(values: Values) -> str | None:
    if values.get("backbone") == "GRU4Rec" or values.get("t5", "scratch") != "scratch":
        return None  # no heads, or those of a pretrained model
    width, heads = values["hidden_size"], values["n_heads"]
    return f"{heads} is not a divisor of hidden_size {width}" if width % heads else None


def _valid_metric(values: Values) -> str | None:
    asked = (
        value if isinstance(value, list | tuple) else [value]
        for value in (values["metrics"], values["topk"])
    )
    known = metrics().result_names(*asked)
    if values["valid_metric"].lower() in known:
        return None
    return f"{values['valid_metric']} is not among metrics and topk ({', '.join(known)})"


def _dynamic(values: Values) -> str | None:
    negatives = values["train_neg_sample_args"] or {}
    if negatives.get("dynamic") and not negatives.get("candidate_num", 0):
        return "dynamic: True chooses among candidate_num negatives, which must be at least 1"
    return None


def _warmup(values: Values) -> str | None:
    if values["warmup_epochs"] < values["epochs"]:
        return None
    return f"{values['warmup_epochs']} must be below epochs: {values['epochs']}"


def _least_rate(values: Values) -> str | None:
    if values["min_learning_rate"] <= values["learning_rate"]:
        return None
    return f"{values['min_learning_rate']} is above learning_rate: {values['learning_rate']}"


SHARED_RULES = (
    Rule(("warmup_epochs", "epochs"), _warmup),
    Rule(("min_learning_rate", "learning_rate"), _least_rate),
    Rule(("n_heads", "hidden_size"), _heads),
    Rule(("valid_metric", "metrics", "topk"), _valid_metric),
    Rule(("train_neg_sample_args",), _dynamic),
)


def unknown(name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key, with the nearest known one."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return "unknown key" + (f"; did you mean {near[0]}?" if near else "")


def no_effect(because: Mapping[str, Any]) -> str:
    """Return the message for a key that other keys disable."""
    return "has no effect with " + ", ".join(f"{k}: {shown(v)}" for k, v in because.items())
