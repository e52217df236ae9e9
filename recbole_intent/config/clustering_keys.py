"""Configuration keys of models whose intents are clusters of training sequences."""

from recbole_intent.config.key_kinds import Choice, Flag, Number, Whole
from recbole_intent.config.keys import Key, Needs
from recbole_intent.config.recbole_keys import rows

ENCODER = rows(
    "n_layers n_heads hidden_size inner_size hidden_dropout_prob attn_dropout_prob hidden_act "
    "layer_norm_eps initializer_range"
)
CONTRAST = (
    Key("temperature", Number(above=0), "τ of the contrastive losses"),
    Key("similarity", Choice("dot", "cos"), "of two vectors, in the contrastive losses"),
    Key("mask_false_negatives", Flag(), "vectors of one class are not negatives of each other"),
)
AUGMENTATIONS = (
    Key("crop_ratio", Number(0, 1), "share of the items that a cropped view keeps"),
    Key("mask_ratio", Number(0, 1), "share of the items that a masked view loses"),
    Key("reorder_ratio", Number(0, 1), "share of the items that a reordered view shuffles"),
)

NEXT_ITEM = (
    Key("loss_type", Choice("CE"), "RecBole's; next_item_loss is the loss"),
    Key(
        "next_item_loss",
        Choice("BCE", "CE"),
        "BCE against one sampled item, or softmax cross-entropy over all items",
    ),
)


def kmeans_keys(needs: Needs, *, repeats: bool = True) -> tuple[Key, ...]:
    """Key-table rows of the E-step.

    Args:
        needs: the condition under which there is one.
        repeats: it is repeated in later epochs.
    """
    every = Key("cluster_every", Whole(1), "epochs from one E-step to the next", needs=needs)
    return (
        Key("num_clusters", Whole(1), "K, intents: clusters of training sequences", needs=needs),
        *((every,) if repeats else ()),
        Key("kmeans", Choice("sklearn", "faiss"), "library of k-means", needs=needs),
        Key("kmeans_iter", Whole(1), "iterations of k-means, at most", needs=needs),
        Key("kmeans_redo", Whole(1), "runs of k-means, of which the best counts", needs=needs),
    )
