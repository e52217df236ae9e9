"""Ranking with a model: every target of a split among all items, and the metrics of the ranks."""

from contextlib import nullcontext
from itertools import chain

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor, nn
from tqdm import tqdm

from recbole_intent.config import Config
from recbole_intent.data.loader import RankingLoader
from recbole_intent.evaluation.metrics import evaluate
from recbole_intent.evaluation.ranks import Ranks, rank_of_targets
from recbole_intent.trainer import distributed


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

        Several processes share out the batches, and all of them get all ranks.

        Raises:
            UserError: a score is NaN.
        """
        self.model.eval()
        own: tuple[list, list, list] = ([], [], [])  # users, targets, ranks
        first, step = distributed.rank(), distributed.count()
        bar = tqdm(
            data.share(first, step),
            total=len(range(first, len(data), step)),
            desc=f"{self.title}: ranking",
            disable=not (self.config["show_progress"] and distributed.is_main()),
            leave=False,
            dynamic_ncols=True,
            delay=2,  # seconds: of no use where it is quick
        )
        for batch in bar:
            scores = self.scores(batch.interaction, data.dataset.item_num)
            excluded = batch.excluded
            if excluded is not None:
                excluded = tuple(index.to(self.device) for index in excluded)
            rank = rank_of_targets(scores, batch.target.to(self.device), excluded=excluded)
            for kept, values in zip(own, (batch.user, batch.target, rank.cpu()), strict=True):
                kept.append(values.numpy())
        of_all = zip(*distributed.gather(own), strict=True)  # users, targets, ranks by process
        return Ranks(*(np.concatenate([*chain.from_iterable(lists)]) for lists in of_all))

    @torch.no_grad()
    def scores(self, interaction: Interaction, n_items: int) -> Tensor:
        """Scores (B, V) float32 of all V = `n_items` items, padding included, for B rows."""
        with self.autocast():
            scores = self._scores(interaction.to(self.device), n_items)
        return scores.to(self.device, torch.float32)  # EASE scores on the CPU always

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
