"""What values keys may have, where a library further down would fail without naming the key."""

from collections.abc import Callable, Mapping
from typing import Any

# Keys of RecBole that would do nothing here, and what to do instead.
_NOT_HERE = {
    "gpu_id": "name the GPU by device: cuda:0, cuda:1 …",
    "log_wandb": "tensorboard: True writes TensorBoard events",
    "save_dataset": "datasets are read anew in each run",
    "save_dataloaders": "batches are made anew in each run",
    "enable_amp": "precision: bf16",
    "enable_scaler": "precision: bf16",
}


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# What values of a user may be, where a library further down would fail on them without the key.
_VALUES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "epochs train_batch_size eval_batch_size eval_step MAX_ITEM_LIST_LENGTH hidden_size "
        "embedding_size inner_size n_layers num_layers n_heads distiller_size n_intents "
        "n_candidates",
        lambda value: _is_whole(value, 1),
        "a whole number from 1",
    ),
    (
        "stopping_step n_prefix candidates_seed",
        lambda value: _is_whole(value, 0),
        "a whole number from 0",
    ),
    (
        "seed",
        lambda value: _is_whole(value, 0) and value < 2**32,
        "a whole number from 0 to 2**32 - 1",
    ),
    (
        "threads",
        lambda value: value is None or _is_whole(value, 1),
        "a whole number from 1, or empty",
    ),
    (
        "learning_rate weight_decay",
        lambda value: _is_number(value) and value >= 0,
        "a number from 0",
    ),
    (
        "dropout_prob hidden_dropout_prob attn_dropout_prob intent_dropout_prob "
        "distiller_dropout_prob",
        lambda value: _is_number(value) and 0 <= value <= 1,
        "a number in 0 .. 1",
    ),
    (
        "learner valid_metric data_path checkpoint_dir lid_checkpoint",
        lambda value: isinstance(value, str) and value != "",
        "a word (a number needs quotes)",
    ),
    (
        "clip_grad_norm",
        lambda value: value is None or (isinstance(value, Mapping) and "max_norm" in value),
        "a mapping such as {max_norm: 1.0}",
    ),
    (
        "task",
        lambda value: value in ("next-item", "sequential", "direct"),
        "one of next-item, sequential, direct",
    ),
    (
        "hidden_act",
        lambda value: value in ("gelu", "relu", "swish", "tanh", "sigmoid"),
        "one of gelu, relu, swish, tanh, sigmoid",
    ),
)


def mistake_in(key: str, value: Any, default: Any) -> str | None:
    """What is wrong with a value that a user gave to a key; None where nothing is.

    Args:
        key: of the configuration.
        value: the user's, already typed.
        default: the value of the default files, or None.
    """
    if isinstance(default, bool) and not isinstance(value, bool):
        return f"{value!r} is neither True nor False"
    if isinstance(default, int | float) and not isinstance(value, int | float):
        return f"{value!r} is not a number"
    for keys, is_good, wanted in _VALUES:
        if key in keys.split() and not is_good(value):
            return f"{value!r} is not {wanted}"
    if key in _NOT_HERE and value != default:
        return f"has no effect here; {_NOT_HERE[key]}"
    return None
