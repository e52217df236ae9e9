"""Item tables initialised from a distiller, an option shared by all next-item models."""

from pathlib import Path
from typing import Any

from torch import Tensor

from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.nn.initialization import fill_columns
from recbole_intent.utils.errors import UserError


def item_init_of(config: Any) -> str:
    """`random` or `distiller`; `auto`: `distiller` if the model reads a distiller's intents.

    With `item_vectors`, `auto` means that the table starts from these.
    """
    given = config["item_init"]
    if given == "auto":
        return "distiller" if config["use_lid"] and not config["item_vectors"] else "random"
    return given


def input_files(config: Any) -> list[Path]:
    """The file of the distiller's weights, if `lid_checkpoint` names one."""
    path = config["lid_checkpoint"]
    return [] if path == "auto" or not Path(path).is_file() else [Path(path)]


def distiller_config(config: Any) -> dict[str, Any]:
    """Properties of the SASRec of width d_l that is trained as the distiller."""
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
        "softmax": "full",
        "positions": "start",
    }


def fold_of(user: Tensor, folds: int) -> Tensor:
    """The fold, 0 .. folds - 1, of each user id; any shape."""
    return user % folds


class DistilledStart(NextItemMixin):
    """A next-item model whose item table starts at random or from a trained distiller.

    The distiller is the small SASRec that IGR-SR freezes; its item vectors encode which items
    follow one another. With `item_init: distiller` they initialise the first d_l columns of the
    item table, which is then trained further. The gain from this start does not come from the
    architecture, so either all compared models must use it or none.
    `trainer.distilled.DistilledTrainer` trains the distiller.

    A subclass calls `prepare_start` after creating its `item_embedding`.
    """

    def prepare_start(self, config: Any) -> None:
        """Read `item_init` and `distiller_size`."""
        self.item_init = item_init_of(config)
        self.distiller_size = config["distiller_size"]

    @property
    def wanted_distillers(self) -> list[int | None]:
        """The distillers that `load_distiller` must receive before training.

        None is the distiller trained on all users, f the one trained on all users outside fold f.
        """
        return [None] if self.item_init == "distiller" else []

    @property
    def needs_distiller(self) -> bool:
        """Whether `load_distiller` must be called before training."""
        return bool(self.wanted_distillers)

    def load_distiller(self, state_dict: dict[str, Tensor], fold: int | None = None) -> None:
        """Load the weights of a trained SASRec (`distiller_config`).

        The item vectors of the distiller of all users go into the item table's first d_l columns.

        Args:
            state_dict: its weights.
            fold: one of `wanted_distillers`.

        Raises:
            UserError: the weights have another shape, or the model does not use them.
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
            fill_columns(self.item_embedding, table)


def unfit_distiller() -> UserError:
    """The error for distiller weights of another shape."""
    return UserError(
        "the distiller's checkpoint does not fit n_items, MAX_ITEM_LIST_LENGTH or "
        "distiller_size; lid_checkpoint: auto trains one that does"
    )
