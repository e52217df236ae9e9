"""An item table that starts as the distiller's: one option for all next-item models alike."""

from typing import Any

import torch
from torch import Tensor

from recbole_intent.errors import UserError
from recbole_intent.model.next_item import NextItemMixin


def item_init_of(config: Any) -> str:
    """`random` or `distiller`; `auto`: `distiller` where the model reads a distiller's intents."""
    given = config["item_init"]
    if given == "auto":
        return "distiller" if config["use_lid"] else "random"
    return given


def distiller_config(config: Any) -> dict[str, Any]:
    """Properties of the SASRec of width d_l whose trained weights are the distiller."""
    d_l, dropout = config["distiller_size"], config["distiller_dropout_prob"]
    return {
        "n_layers": 2,
        "n_heads": 2,
        "hidden_size": d_l,
        "inner_size": 4 * d_l,
        "hidden_dropout_prob": dropout,
        "attn_dropout_prob": dropout,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "initializer_range": 0.02,
        "loss_type": "CE",
    }


def fold_of(user: Tensor, folds: int) -> Tensor:
    """The fold, 0 .. folds - 1, of users by their numbers; of any shape."""
    return user % folds


class DistilledStart(NextItemMixin):
    """A next-item model whose item table starts from random, or as that of a trained distiller.

    The distiller is the small SASRec that IGR-SR freezes; its items say which items follow one
    another. With `item_init: distiller` they are the first d_l columns of the item table, which
    learns on: what a model gains by that is no gain of its architecture, so the models that are
    compared must all have it, or none. `trainer.distilled.DistilledTrainer` trains the distiller.

    A class calls `prepare_start` once its `item_embedding` is there.
    """

    def prepare_start(self, config: Any) -> None:
        """Read `item_init` and `distiller_size`."""
        self.item_init = item_init_of(config)
        self.distiller_size = config["distiller_size"]

    @property
    def wanted_distillers(self) -> list[int | None]:
        """Which distillers `load_distiller` must be given before training.

        None is the one that is trained on all users, f the one that is trained on all but those
        of fold f.
        """
        return [None] if self.item_init == "distiller" else []

    @property
    def needs_distiller(self) -> bool:
        """Whether `load_distiller` must be called before training."""
        return bool(self.wanted_distillers)

    def load_distiller(self, state_dict: dict[str, Tensor], fold: int | None = None) -> None:
        """Take the weights of a trained SASRec (`distiller_config`).

        The item vectors of the one of all users go into the first d_l columns of the item table.

        Args:
            state_dict: its weights.
            fold: one of `wanted_distillers`.

        Raises:
            UserError: the weights are of another shape, or nothing here wants them.
        """
        if fold not in self.wanted_distillers:
            raise UserError(
                "there is no distiller to load weights into: use_lid is False (or the model has "
                "none) and item_init is not distiller"
            )
        table = state_dict.get("item_embedding.weight")
        if table is None or table.shape != (self.n_items, self.distiller_size):
            raise unfit_distiller()
        if fold is None and self.item_init == "distiller":
            with torch.no_grad():
                self.item_embedding.weight[:, : self.distiller_size] = table


def unfit_distiller() -> UserError:
    """The error of a distiller's weights that are of another shape."""
    return UserError(
        "the distiller's checkpoint does not fit n_items, MAX_ITEM_LIST_LENGTH or "
        "distiller_size; lid_checkpoint: auto trains one that does"
    )
