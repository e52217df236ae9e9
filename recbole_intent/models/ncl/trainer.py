"""NCL's training loop, which recomputes the prototypes of users and items every few epochs."""

from pathlib import Path
from typing import Any

from recbole.model.abstract_recommender import AbstractRecommender
from torch import Tensor

from recbole_intent.config.config import Config
from recbole_intent.nn.kmeans import check_library
from recbole_intent.trainer.base import Trainer
from recbole_intent.utils.errors import UserError

# Results of the E-step: cluster centroids, and the cluster of each user and item.
_PROTOTYPES = ("user_centroids", "user_2cluster", "item_centroids", "item_2cluster")

# faiss warns if a cluster has fewer points than this.
_POINTS = 39


class NCLTrainer(Trainer):
    """RecBole's `NCLTrainer` in our training loop.

    An E-step (k-means of the user vectors and of the item vectors) precedes the epochs 0, `m_step`,
    2 `m_step` …; the prototype loss counts from epoch `warm_up_step` on. Checkpoints contain the
    prototypes, so that a run interrupted between two E-steps resumes exactly.

    Args:
        config: with `m_step`, `warm_up_step`, `num_clusters`.
        model: NCL, already on its device.
        folder, title: as in `Trainer`.

    Raises:
        UserError: faiss is not installed; more clusters than users or items.

    Source: Lin et al., "Improving Graph Collaborative Filtering with Neighborhood-enriched
    Contrastive Learning", WWW 2022, sections 3.2.2 and 3.3.
    """

    def __init__(
        self,
        config: Config,
        model: AbstractRecommender,
        folder: Path | None = None,
        title: str = "train",
    ) -> None:
        super().__init__(config, model, folder, title)
        check_library("faiss", "NCL")
        fewest = min(model.n_users, model.n_items)
        if config["num_clusters"] > fewest:
            raise UserError(
                f"num_clusters: {config['num_clusters']} are more than the {fewest} users or "
                f"items (padding included); give --num_clusters={max(1, fewest // _POINTS)}"
            )
        self._epoch = 0

    def before_epoch(self, epoch: int, train_data) -> None:
        """The E-step, if it is due."""
        self._epoch = epoch
        if epoch % self.config["m_step"] == 0:
            self.model.e_step()

    def extra_state(self) -> dict[str, Any]:
        """The prototypes of the last E-step."""
        return {name: getattr(self.model, name) for name in _PROTOTYPES}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the prototypes."""
        for name, value in state.items():
            setattr(self.model, name, value)

    def losses(self, interaction) -> tuple[Tensor, ...]:
        """As `Trainer.losses`; the prototype loss only after the warm-up."""
        losses = super().losses(interaction)
        return losses[:-1] if self._epoch < self.config["warm_up_step"] else losses
