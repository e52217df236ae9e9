"""Configuration keys of models around an encoder that `backbone` names (`models/backbones.py`)."""

from recbole_intent.config.key_kinds import Choice, Whole
from recbole_intent.config.keys import Key
from recbole_intent.config.recbole_keys import rows

_TRANSFORMER = ({"backbone": Choice("SASRec", "BERT4Rec")},)

BACKBONE = (
    Key("backbone", Choice("SASRec", "BERT4Rec", "GRU4Rec"), "encoder of histories"),
    *(
        Key(row.name, row.kind, row.help, needs=_TRANSFORMER)
        for row in rows("n_layers n_heads inner_size attn_dropout_prob hidden_act")
    ),
    Key("num_layers", Whole(1), "layers of GRU4Rec", needs=({"backbone": Choice("GRU4Rec")},)),
)
