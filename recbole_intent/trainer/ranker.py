"""Ranking of each target of a split among all items or its candidates, and the metrics."""

from contextlib import nullcontext
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import ModelType
from torch import Tensor

from recbole_intent.config.config import Config
from recbole_intent.data.loading.loader import RankingBatch, RankingLoader
from recbole_intent.evaluation.definitions import metric_of
from recbole_intent.evaluation.metrics import evaluate
from recbole_intent.evaluation.ranks import Ranks, Top, rank_of_targets
from recbole_intent.modeling.candidates import candidate_scores, pair_scores
from recbole_intent.modeling.searches import SearchesItems
from recbole_intent.nn.top_k import top_k
from recbole_intent.trainer import distributed
from recbole_intent.utils.progress import bar


class Ranker:
    """Ranks with any RecBole recommender.

    Args:
        config: configuration of the run.
        model: the recommender, already on its device.
        title: label in the progress bar.
    """

    def __init__(self, config: Config, model: AbstractRecommender, title: str = "model") -> None:
        self.config = config
        self.model = model
        self.title = title
        self.device = config["device"]

    def autocast(self):
        """Context for a forward pass: bf16 if `precision` says so."""
        if self.config["precision"] == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    @torch.no_grad()
    def rank(self, data: RankingLoader) -> Ranks:
        """Rank of every target of a split among all items or its candidates; ties count half.

        Several processes share the batches, and each of them gets all ranks.

        Raises:
            UserError: a score is NaN.
        """
        self.model.eval()
        metrics, topk = self.config["metrics"], self.config["topk"]
        k = max(topk) if any(metric_of(name).needs_lists for name in metrics) else 0
        # Users, targets, ranks; with k also lists and numbers of ranked items.
        own: tuple[list, ...] = tuple([] for _ in range(5 if k else 3))
        first, step = distributed.rank(), distributed.count()
        shows = self.config["show_progress"] and distributed.is_main()
        batches = bar(
            data.share(first, step),
            total=len(range(first, len(data), step)),
            desc=f"{self.title}: ranking",
            shows=shows,
            leave=False,
            dynamic_ncols=True,
            delay=2,  # seconds: a fast ranking needs no bar
        )
        for batch in batches:
            ranked = self._ranks(batch, data.dataset.item_num, k)
            for kept, values in zip(own, (batch.user, batch.target, *ranked), strict=True):
                kept.append(values.cpu().numpy())
        of_all = zip(*distributed.gather(own), strict=True)  # by process
        users, targets, ranks, *lists = (np.concatenate([*chain.from_iterable(p)]) for p in of_all)
        if not k:
            return Ranks(users, targets, ranks)
        assert data.popularity is not None  # of a split that was loaded for a run
        top = Top(lists[0], lists[1], data.popularity, self.config["tail_ratio"])
        return Ranks(users, targets, ranks, top)

    def _ranks(self, batch: RankingBatch, n_items: int, k: int) -> tuple[Tensor, ...]:
        """Ranks (B,); if k > 0 also the best K items (B, K) and how many were ranked (B,)."""
        if batch.candidates is not None:
            candidates = batch.candidates.to(self.device)
            scores = self.scores_of(batch.interaction, candidates, n_items)
            # Ranked as C items after a padding item; the target is one of them.
            scores, candidates = F.pad(scores, (1, 0)), F.pad(candidates, (1, 0))
            place = (candidates == batch.target.to(self.device)[:, None]).int().argmax(dim=1)
            rank = rank_of_targets(scores, place)
            if not k:
                return (rank,)
            places = _listed(scores, k)
            return rank, candidates.gather(1, places).int(), _count(scores, None)
        target, excluded, others = batch.target.to(self.device), batch.excluded, None
        if excluded is not None:
            rows, items = (index.to(self.device) for index in excluded)
            excluded = rows, items
            asked = items == target[rows]  # a target is ranked even if the history contains it
            others = rows[~asked], items[~asked]
        scores = self.scores(batch.interaction, n_items, others)
        rank = rank_of_targets(scores, target, excluded=excluded)
        if not k:
            return (rank,)
        return rank, _listed(scores, k, excluded).int(), _count(scores, others)

    @torch.no_grad()
    def scores_of(self, interaction: Interaction, candidates: Tensor, n_items: int) -> Tensor:
        """Scores (B, C) float32 of candidates (B, C) for B rows; V = `n_items` as in `scores`."""
        with self.autocast():
            scores = candidate_scores(
                self.model,
                interaction.to(self.device),
                candidates.to(self.device),
                n_items,
                self.config["ITEM_ID_FIELD"],
            )
        return scores.to(self.device, torch.float32)

    @torch.no_grad()
    def scores(
        self,
        interaction: Interaction,
        n_items: int,
        excluded: tuple[Tensor, Tensor] | None = None,
        k: int = 0,
    ) -> Tensor:
        """Scores (B, V) float32 of all V = `n_items` items, padding included, for B rows.

        Only models that search use `excluded` (rows, items) and `k`, the number of items needed:
        see `SearchesItems`.
        """
        interaction = interaction.to(self.device)
        with self.autocast():
            if isinstance(self.model, SearchesItems):
                scores = self.model.search(interaction, excluded, k)
            else:
                scores = self._scores(interaction, n_items)
        return scores.to(self.device, torch.float32)  # EASE always scores on the CPU

    def evaluate(self, data: RankingLoader) -> dict[str, float]:
        """The configured metrics of a split with the current weights."""
        return self.metrics(self.rank(data))

    def metrics(self, ranks: Ranks) -> dict[str, float]:
        """The configured metrics of given ranks.

        As in RecBole, rows of a sequential model are separate lists if a user has several targets
        (ratio splits); a general model ranks all targets of a user in one list.
        """
        if self.config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            ranks = ranks.by_row()
        return evaluate(ranks, self.config["metrics"], self.config["topk"])

    def _scores(self, interaction: Interaction, n_items: int) -> Tensor:
        try:
            return self.model.full_sort_predict(interaction).view(-1, n_items)
        except NotImplementedError:
            items = torch.arange(n_items, device=self.device).expand(len(interaction), -1)
            return pair_scores(self.model, interaction, items, self.config["ITEM_ID_FIELD"])


def _listed(scores: Tensor, k: int, excluded: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The best items (B, min(k, V - 1)) of scores (B, V), 0 where none is left, ties by item id."""
    best, items = top_k(scores, k, excluded=excluded)
    return items.where(best > -torch.inf, 0)


def _count(scores: Tensor, excluded: tuple[Tensor, Tensor] | None) -> Tensor:
    """How many items, the target included, each row (B,) of scores (B, V) was ranked among."""
    n_rows, n_items = scores.shape
    count = torch.full((n_rows,), n_items - 1, device=scores.device)
    if excluded is None:
        return count
    pairs = torch.unique(excluded[0] * n_items + excluded[1])  # a history may hold an item twice
    rows = (pairs // n_items)[pairs % n_items != 0]
    return count.index_add_(0, rows, -torch.ones_like(rows))
