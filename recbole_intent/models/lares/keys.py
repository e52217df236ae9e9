"""Configuration keys of LARES (defaults and authors' ranges: properties/model/LARES.yaml)."""

from recbole_intent.config.key_kinds import Choice, Number, Optional, Whole
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import DROPOUT

_IS_RANDOM = ({"state_init": Choice("normal", "normal_zero")},)
_USES_TEMPERATURE = (
    {"similarity": Choice("cos")},
    {"trajectory_weight": Number(above=0)},
    {"step_weight": Number(above=0)},
)
_RPT = ({"rpt_share": Number(above=0)},)

KEYS = (
    Key("loss_type", Choice("CE"), "cross-entropy over all items"),
    Key("n_pre_layers", Whole(1), "layers of the pre-block"),
    Key("n_core_layers", Whole(1), "layers of the core block"),
    Key("mean_recurrence", Whole(1), "r, mean number of steps in training"),
    Key("recurrence", Choice("random", "constant"), "number of steps of a training pass"),
    Key("test_recurrence", Optional(Whole(1)), "steps when ranking; empty: mean_recurrence"),
    Key("state_init", Choice("normal", "normal_zero", "zero"), "the state before the first step"),
    Key("state_scale", Number(above=0), "factor of that state", needs=_IS_RANDOM),
    Key("similarity", Choice("dot", "cos"), "of scores and of the alignments"),
    Key("temperature", Number(above=0), "τ of alignments and of cosines", needs=_USES_TEMPERATURE),
    Key("trajectory_weight", Number(0), "α of the alignment of histories with the same target"),
    Key("step_weight", Number(0), "γ of the alignment of steps of a history"),
    Key("rpt_share", Number(0, below=1), "share of the epochs for the reinforcement stage"),
    Key("rpt_learning_rate", Number(0), "of that stage", needs=_RPT),
    Key("rpt_batch_size", Whole(1), "rows of a batch of that stage", needs=_RPT),
    Key("rpt_dropout_prob", DROPOUT, "all dropouts of that stage", needs=_RPT),
    Key("rpt_keep_top", Whole(1), "rows are trained whose target is ranked this high", needs=_RPT),
    Key("group_size", Whole(2), "G, rollouts per row", needs=_RPT),
    Key("reward", Choice("recall", "ndcg"), "of a rollout's last step", needs=_RPT),
    Key("reward_k", Whole(1), "length of the list that is rewarded", needs=_RPT),
    Key("rpt_beta", Number(0), "β of the divergence from the pre-trained model", needs=_RPT),
)
