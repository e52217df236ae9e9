"""Configuration keys of RecBole's own models; a name means the same in all of them.

`COMMON` holds the names whose meaning is fixed for any model, also for classes outside the table.
"""

from collections.abc import Iterable

from recbole_intent.config.key_kinds import (
    Choice,
    Either,
    Flag,
    Kind,
    Listing,
    Number,
    Optional,
    Whole,
    Word,
)
from recbole_intent.config.keys import ACTIVATIONS, Key

DROPOUT = Number(0, below=1)  # with 1, nothing could be learned
_SIZES = Listing(Whole(1))


def _rows(groups: Iterable[tuple[str, Kind, str]]) -> tuple[Key, ...]:
    return tuple(Key(name, kind, text) for names, kind, text in groups for name in names.split())


COMMON = _rows(
    (
        ("embedding_size hidden_size inner_size", Whole(1), "width"),
        ("n_layers num_layers", Whole(1), "layers"),
        ("n_heads", Whole(1), "attention heads"),
        ("dropout_prob hidden_dropout_prob attn_dropout_prob", DROPOUT, "dropout"),
        ("hidden_act", Choice(*ACTIVATIONS), "activation"),
        ("layer_norm_eps", Number(above=0), "epsilon of LayerNorm"),
        ("initializer_range", Number(above=0), "standard deviation of the initial weights"),
    )
)

KEYS = (
    Key(
        "reference",
        Choice("ours", "recbole"),
        "a model that RecBole computes wrongly: ours, or as RecBole does",
        neutral="recbole",  # the behaviour of runs made before this key existed
    ),
    *_rows(
    (
        ("mf_embedding_size mlp_embedding_size neigh_embedding_size ui_embedding_size "
         "item_embedding_size user_embedding_size latent_dimension gcn_output_dim weight_size",
         Whole(1), "width"),
        ("block_num step n_iterations", Whole(1), "layers"),
        ("hidden_size_list mlp_hidden_size item_hidden_size_list user_hidden_size_list", _SIZES,
         "widths of layers"),
        ("cnn_channels cnn_kernels cnn_strides dilations", _SIZES, "of convolutions"),
        ("kernel_size conv_kernel_size pool_kernel_size num_conv_kernel nh nv", Whole(1),
         "of convolutions"),
        ("item_dropout sess_dropout dropout node_dropout message_dropout drop_ratio", DROPOUT,
         "dropout"),
        ("dropout_probs", Listing(DROPOUT), "dropouts"),
        ("loss_type", Choice("CE", "BPR"), "cross-entropy over all items, or drawn pairs"),
        ("reg_weights", Listing(Number(0)), "L2 regularization"),
        ("ssl_temp ssl_tau temperature tau_ratio", Number(above=0), "temperature"),
        ("ssl_reg proto_reg ssl_weight cor_weight second_order_loss_weight negative_weight "
         "reg_loss_ratio shrink", Number(0), "weight of a part of the loss"),
        ("alpha beta", Number(0), "exponent, or weight"),
        ("gamma weight l1_ratio anneal_cap ft_ratio", Number(0, 1), "share"),
        ("mask_ratio", Number(above=0, most=1), "share of masked items"),
        ("margin", Number(-1, 1), "of negatives"),
        ("resolution", Number(above=0), "of the communities"),
        ("num_clusters n_factors num_basis_functions class_num interest_size prototype_size "
         "k_interests k neigh_num history_len order_len short_item_length high_order m_step "
         "hyper_layers", Whole(1), "how many"),
        ("warm_up_step total_anneal_steps split_to", Whole(0), "how many"),
        ("order", Whole(1, 2), "of proximity"),
        ("accum", Choice("sum", "stack"), "accumulation"),
        ("aggregator", Choice("mean", "user_attention", "self_attention"), "of items"),
        ("algorithm", Choice("prod", "concat"), "attention"),
        ("dnn_type", Choice("trm", "ave"), "encoder"),
        ("inter_matrix_type", Choice("01", "rating"), "of interactions"),
        ("knn_method", Choice("item", "user"), "whose neighbours"),
        ("neigh_info_method", Choice("random", "knn", "louvain"), "whose neighbours"),
        ("pooling_mode", Choice("max", "sum", "mean"), "of features"),
        ("pooling_type pooling_type_layer_1 pooling_type_layer_2", Choice("max", "average"),
         "pooling"),
        ("type", Choice("ED", "ND", "RW"), "views"),
        ("selected_features", Listing(Word(), 0, unique=True), "item features"),
        ("train_method", Choice("after_pretrain", "no_pretrain"), "training"),
        ("joint_train hide_item positive_only sparse_feature mf_train mlp_train use_pretrain",
         Flag(), "switch"),
        ("mf_pretrain_path mlp_pretrain_path pretrain_path", Optional(Word()), "weights"),
        ("pre_model_path", Either(Word(), Choice("", None)), "weights"),
    )
    ),
)  # fmt: skip


def rows(names: str) -> tuple[Key, ...]:
    """RecBole's rows for keys that another model has too.

    Args:
        names: separated by blanks.
    """
    by_name = {key.name: key for key in (*COMMON, *KEYS)}
    return tuple(by_name[name] for name in names.split())
