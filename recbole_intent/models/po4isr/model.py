"""PO4ISR: reads how a language model ranked the candidates of each target."""

from pathlib import Path
from typing import Any

import torch
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender.sasrec import SASRec
from torch import Tensor

from recbole_intent.data.formats.ranking_files import MANIFEST, RANKING, read_rankings
from recbole_intent.data.formats.record_files import check_records
from recbole_intent.data.loading.training_interactions import enrich_command, find_enriched
from recbole_intent.modeling.candidates import ScoresCandidates
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.utils.errors import UserError

DIRECT = "direct"


class PO4ISR(ScoresCandidates, NextItemMixin, SASRec):
    """Large Language Models for Intent-Driven Session Recommendations (Sun et al., SIGIR 2024).

    `enrich --for=PO4ISR` asks the language model, before any run: it optimises a prompt on
    training sessions and has it rank the candidates of every target. With `--task=direct`, this
    model gives each candidate its place in that ranking; candidates that the model did not name,
    or all of a target without a usable answer, share the last places. So metrics are means over
    all targets. Nothing here learns from the training sessions for that task.

    With any other task it is RecBole's SASRec, for no language model ranks a whole catalogue, and
    results say so.

    Deviations from the released code: answers are JSON; a prompt is refined once per round, for
    all errors shown; the first strategy and the requests are in our own words.

    Raises:
        UserError: the file of rankings is missing, malformed, or of other candidates.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.path: Path | None = None
        self.rank_of: dict[tuple[str, frozenset[str]], dict[str, int]] = {}
        if config["task"] == DIRECT:
            (self.path,) = input_files(config)
            check_records(self.path, self.path.with_suffix(MANIFEST))
            for entry in read_rankings(self.path):
                order = {item: rank for rank, item in enumerate(entry.ranking)}
                self.rank_of[entry.session, frozenset(entry.candidates)] = order
            self.remedy = enrich_command(config, "PO4ISR", *_candidate_words(config))
        self.user_ids = dataset.field2id_token[dataset.uid_field]
        self.item_ids = dataset.field2id_token[dataset.iid_field]

    @classmethod
    def shares_passes(cls, config: Any) -> bool:
        """RecBole's `forward` encodes one prefix per row."""
        return False

    def score_candidates(self, interaction: Interaction, candidates: Tensor) -> Tensor:
        """Scores (B, C): the number of places below the candidate's own.

        Raises:
            UserError: the file has no ranking of these candidates.
        """
        if self.path is None:
            return self.full_sort_predict(interaction).gather(1, candidates)
        scores = torch.zeros(candidates.shape)
        for row, (user, items) in enumerate(
            zip(interaction[self.USER_ID].tolist(), candidates.tolist(), strict=True)
        ):
            session, ids = str(self.user_ids[user]), [str(self.item_ids[item]) for item in items]
            rank = self.rank_of.get((session, frozenset(ids)))
            if rank is None:
                raise UserError(
                    f"{self.path}: has no ranking of the {len(ids)} candidates of {session}: it "
                    f"was made for others, or for fewer targets; {self.remedy} makes it"
                )
            places = [rank.get(item) for item in ids]
            scores[row] = torch.tensor(
                [0.0 if place is None else len(ids) - place for place in places]
            )
        return scores.to(candidates.device)


def input_files(config: Any) -> list[Path]:
    """The .ranking file of a configuration; none if it ranks all items.

    Raises:
        UserError: it does not exist.
    """
    if config["task"] != DIRECT:
        return []
    name = f"{config['dataset']}{RANKING}"
    given = config["rankings"]
    path = find_enriched(config, [name]) / name if given == "auto" else Path(given)
    if not path.is_file():
        command = enrich_command(config, "PO4ISR", *_candidate_words(config))
        raise UserError(f"{path}: no such file of rankings; {command} makes it")
    return [path]


def _candidate_words(config: Any) -> list[str]:
    return [f"--{key}={config[key]}" for key in ("n_candidates", "candidates_seed")]
