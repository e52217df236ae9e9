"""The outcome of a run: its folder, its numbers as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:  # imports torch
    from recbole_intent.evaluation.ranks import Ranks


@dataclass(frozen=True, repr=False)
class Run:
    """The outcome of a run.

    Attributes:
        folder: its folder.
        result: the contents of `result.json`.
        reported: the run was already finished and only read.
    """

    folder: Path
    result: dict[str, Any]
    reported: bool

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics of the best epoch: one row per metric, columns `valid` and `test`."""
        return metrics_table({part: self.result[part] for part in ("valid", "test")})

    @property
    def curve(self) -> pd.DataFrame:
        """One row per epoch, from 1: losses, validation metrics (if evaluated), seconds.

        Columns are `loss` or `loss_<term>`, the names of the metrics, and `seconds`.
        """
        rows = [
            {
                "epoch": record["epoch"] + 1,
                **_losses(record.get("loss")),
                **record.get("valid", {}),
                "seconds": record["seconds"],
            }
            for record in self.result["history"]
        ]
        return pd.DataFrame(rows).set_index("epoch")

    @property
    def ranks(self) -> pd.DataFrame:
        """Rank of each test target: `user_id` and `item_id` of the dataset, `rank` from 1."""
        from recbole_intent.evaluation.ranks import Ranks

        return ranks_table(self.folder, Ranks.load(self.folder / "ranks.npz"))

    @property
    def title(self) -> str:
        """Model, dataset, seed and epoch in one line."""
        result = self.result
        return (
            f"{result['model']} on {result['dataset']}, seed {result['seed']}, "
            f"epoch {result['best_epoch']} of {result['epochs']}"
        )

    def __repr__(self) -> str:
        name, value = next(iter(self.result["test"].items()))
        return f"Run({self.title}: test {name} {value:.4f}; {self.folder})"

    def _repr_html_(self) -> str:
        return html_table(self.metrics, self.title, self.folder)


def metrics_table(parts: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return one row per metric and one column per part."""
    return pd.DataFrame(parts).rename_axis("metric")


def ranks_table(folder: str | Path, ranks: "Ranks") -> pd.DataFrame:
    """Return ranks with the ids of the dataset instead of RecBole's numbers.

    Raises:
        UserError: the run's dataset cannot be read any more.
    """
    from recbole_intent.config.config import Config
    from recbole_intent.data.loading.split import read_parts

    dataset = read_parts(Config.of_run(folder)).dataset
    users, items = (dataset.field2id_token[f] for f in (dataset.uid_field, dataset.iid_field))
    columns = {"user_id": users[ranks.user], "item_id": items[ranks.target], "rank": ranks.rank}
    return pd.DataFrame(columns)


def html_table(table: pd.DataFrame, title: str, folder: Path) -> str:
    """Return a table for a notebook, with its title and folder as escaped text."""
    from html import escape

    body = table.to_html(float_format="{:.4f}".format, border=0)
    return f"<p><b>{escape(title)}</b></p>{body}<p><code>{escape(str(folder))}</code></p>"


def _losses(loss: Any) -> dict[str, float]:
    if not isinstance(loss, Mapping):
        return {} if loss is None else {"loss": loss}
    return {n if n.startswith("loss") else f"loss_{n}": value for n, value in loss.items()}
