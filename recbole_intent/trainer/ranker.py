"""Ranking with a model: every target of a split among all items, and the metrics of the ranks."""

from contextlib import nullcontext

import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor, nn
from tqdm import tqdm

from recbole_intent.config import Config
from recbole_intent.data.loader import RankingLoader
from recbole_intent.evaluation.metrics import evaluate
from recbole_intent.evaluation.ranks import Ranks, rank_of_targets


class Ranker:
    """Ranks with any RecBole recommender.

    Args:
        config: of the run.
        model: the recommender, already on its device.
        title: what the progress bar calls it.
    """

    def __init__(self, config: Config, model: nn.Module, title: str = "model") -> None:
        self.config = config
        self.model = model
        self.title = title
        self.device = config["device"]

    def autocast(self):
        """Context of a forward pass: bf16 where `precision` says so."""
        if self.config["precision"] == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    @torch.no_grad()
    def rank(self, data: RankingLoader) -> Ranks:
        """Rank of every target of a split among all items, ties counted half.

        Raises:
            UserError: a score is NaN.
        """
        self.model.eval()
        users, targets, ranks = [], [], []
        bar = tqdm(
            data,
            desc=f"{self.title}: ranking",
            disable=not self.config["show_progress"],
            leave=False,
            dynamic_ncols=True,
            delay=2,  # seconds: of no use where it is quick
        )
        for batch in bar:
            with self.autocast():
                scores = self._scores(batch.interaction.to(self.device), data.dataset.item_num)
            excluded = batch.excluded
            if excluded is not None:
                excluded = tuple(index.to(self.device) for index in excluded)
            scores = scores.to(self.device, torch.float32)  # EASE scores on the CPU always
            rank = rank_of_targets(scores, batch.target.to(self.device), excluded=excluded)
            users.append(batch.user)
            targets.append(batch.target)
            ranks.append(rank.cpu())
        return Ranks(torch.cat(users).numpy(), torch.cat(targets).numpy(), torch.cat(ranks).numpy())

    def evaluate(self, data: RankingLoader) -> dict[str, float]:
        """The configured metrics of a split with the present weights."""
        return self.metrics(self.rank(data))

    def metrics(self, ranks: Ranks) -> dict[str, float]:
        """The configured metrics of given ranks.

        As in RecBole, a sequential model's rows are lists of their own where a user has several
        targets (ratio splits); a general model ranks all targets of a user in one list.
        """
        if self.config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            ranks = Ranks(range(len(ranks)), ranks.target, ranks.rank)
        return evaluate(ranks, self.config["metrics"], self.config["topk"])

    def _scores(self, interaction: Interaction, n_items: int) -> Tensor:
        try:
            return self.model.full_sort_predict(interaction).view(-1, n_items)
        except NotImplementedError:
            return self._scores_by_pairs(interaction, n_items)

    def _scores_by_pairs(self, interaction: Interaction, n_items: int) -> Tensor:
        # Some RecBole models score only given pairs: ask for each row with every item.
        items = torch.arange(n_items, device=self.device)
        rows = []
        for i in range(len(interaction)):
            pairs = interaction[i : i + 1].repeat(n_items)
            pairs.update(Interaction({self.config["ITEM_ID_FIELD"]: items}))
            rows.append(self.model.predict(pairs))
        return torch.stack(rows)
