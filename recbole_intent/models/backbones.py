"""Sequence models used as encoders of histories whose items are given as vectors."""

from typing import Any

from recbole_intent.models.bert4rec.model import BERT4RecEncoder
from recbole_intent.models.gru4rec.model import GRU4Rec
from recbole_intent.models.sasrec.model import SASRec
from recbole_intent.utils.errors import UserError

# Each class has an `item_embedding` and `encode(x, item_seq_len)`: (B, n, d) -> (B, d).
Backbone = SASRec | BERT4RecEncoder | GRU4Rec
BACKBONES: dict[str, type[Backbone]] = {
    "SASRec": SASRec,
    "BERT4Rec": BERT4RecEncoder,
    "GRU4Rec": GRU4Rec,
}
# Backbones whose states depend on no later position: one pass serves all prefixes of a history.
CAUSAL = frozenset({"SASRec", "GRU4Rec"})

# The configuration keys that RecBole's classes read and that have the same names here.
_SHARED_KEYS = (
    "USER_ID_FIELD ITEM_ID_FIELD LIST_SUFFIX ITEM_LIST_LENGTH_FIELD NEG_PREFIX "
    "MAX_ITEM_LIST_LENGTH device n_layers n_heads inner_size hidden_dropout_prob "
    "attn_dropout_prob hidden_act layer_norm_eps initializer_range num_layers"
).split()


def make_backbone(config: Any, dataset: Any, hidden_size: int) -> Backbone:
    """Build the encoder named by `backbone`.

    Args:
        config: with `backbone` and the keys of RecBole's SASRec; `num_layers` for GRU4Rec.
        dataset: RecBole's, for the number of items.
        hidden_size: d, width of items, states and output. `n_heads` must divide it.

    Raises:
        UserError: `n_heads` does not divide the width.
    """
    name = config["backbone"]
    if name != "GRU4Rec" and hidden_size % config["n_heads"]:
        raise UserError(f"n_heads: {config['n_heads']} does not divide the width {hidden_size}")
    own = {
        "hidden_size": hidden_size,
        "embedding_size": hidden_size,
        "dropout_prob": config["hidden_dropout_prob"],
        # RecBole's constructor requires it; the class's own losses are not used.
        "loss_type": "CE",
        "item_init": "random",
        "distiller_size": None,
        "mask_ratio": 0.0,
        **dict.fromkeys("MASK_ITEM_SEQ POS_ITEMS NEG_ITEMS MASK_INDEX".split()),
    }
    return BACKBONES[name]({key: config[key] for key in _SHARED_KEYS} | own, dataset)
