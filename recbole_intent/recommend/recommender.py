"""Top-k recommendation for users of a dataset or new histories, with the weights of a run."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor

from recbole_intent.config.command_keys import RECOMMEND, refuse
from recbole_intent.config.config import Config
from recbole_intent.data.formats.asked import Columns, histories_of, ids_of
from recbole_intent.data.formats.ids import raw_id
from recbole_intent.data.formats.titles import item_titles
from recbole_intent.data.loading.inputs import Inputs
from recbole_intent.data.loading.known_histories import KnownHistories
from recbole_intent.data.loading.loader import MAX_SCORES
from recbole_intent.data.loading.split_data import SplitData
from recbole_intent.modeling.explain import ExplainsIntents, HasIntentSpace, Intent
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.nn.item_index import EXACT_UP_TO, ItemIndex
from recbole_intent.nn.top_k import top_k
from recbole_intent.recommend.asked_histories import AskedHistories, Chunk
from recbole_intent.runs.experiment import (
    build,
    refuse_other_data,
)
from recbole_intent.runs.result import TRAIN_AGAIN, read_result
from recbole_intent.trainer.base import BEST, Trainer
from recbole_intent.utils.errors import UserError

_LOGGER = logging.getLogger("recbole_intent")

# Number of histories on which an index is compared with the exact search.
_SAMPLE = 256


class Recommender:
    """Recommends with a trained model.

    All items get exact scores. Padding and, by default, the items of the history are excluded; ties
    are ordered by RecBole's internal item number (first appearance in the `.inter` file). A history
    without known items gets the popular items, with `source` `popular` and the number of
    interactions as their score.

    Tables have one row per recommended item: `history` (1, 2, … in input order), `user_id` (missing
    if a history has no name), `rank` (from 1), `item_id`, `title` (if the dataset has titles),
    `score`, and `source` (`model` or `popular`).

    Args:
        trainer: the trainer of the model, with loaded weights.
        data: the dataset of the run, without noise.
        history: interactions that form a user's history: `all`, `train`, or `valid` (training and
            validation).
    """

    def __init__(self, trainer: Trainer, data: SplitData, history: str = "all") -> None:
        config = trainer.config
        self.config, self.trainer, self.dataset = config, trainer, data.dataset
        self.model = trainer.model.eval()
        self.is_sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        self.n_items = data.dataset.item_num
        self.batch_size = max(1, min(config["eval_batch_size"], MAX_SCORES // self.n_items))
        self.index: ItemIndex | None = None
        self._data, self._history = data, history
        self._known: KnownHistories | None = None
        self._vectors: Tensor | None = None
        item, user = config["ITEM_ID_FIELD"], config["USER_ID_FIELD"]
        self.item_ids = np.asarray(data.dataset.field2id_token[item], dtype=object)
        self.user_ids = np.asarray(data.dataset.field2id_token[user], dtype=object)
        self.columns = Columns(user, item, config["TIME_FIELD"])
        self._asked = AskedHistories(config["dataset"], self.item_ids, self.user_ids)
        self.titles = item_titles(config, self.item_ids)

    @classmethod
    def load(cls, folder: str | Path, *, history: str = "all", **conditions: Any) -> "Recommender":
        """Load a finished run with its best weights.

        Args:
            folder: the run's folder.
            history: see the class.
            conditions: `device`, `threads` or `eval_batch_size`, if they differ from the run's.

        Raises:
            UserError: not a finished run, its files have changed, or `history` is unknown.
        """
        refuse(RECOMMEND, {"history": history})
        folder = Path(folder)
        read_result(folder)  # raises if it is not finished
        # Noise belongs to experiments, not to recommendation, and all items may be recommended
        # whatever the test task was.
        usual = {"noise": None, "task": "next-item", "compile": False}
        config = Config.of_run(folder, {**usual, **conditions})
        inputs = Inputs.of(config)
        refuse_other_data(folder, inputs.fingerprint)
        trainer, data = build(config, inputs=inputs)
        trainer.load_weights(folder / BEST, TRAIN_AGAIN)
        return cls(trainer, data, history)

    def recommend(
        self, histories: Any, k: int = 10, *, include_history: bool = False
    ) -> pd.DataFrame:
        """Return the table for new histories of raw item ids, oldest first.

        Args:
            histories: such as `[["i1", "i2"], ["i3"]]`, `[[50, 172]]`, or a table with one row per
                interaction (`data.asked.histories_of` lists all forms); unknown items are skipped
                with a warning.
            k: items per history, at least 1; limited to the size of the catalogue.
            include_history: also recommend items of the history.

        Raises:
            UserError: invalid histories, no known item, or a model that scores by user and cannot
                take new histories.
        """
        chunks = self.chunks(histories)
        return self._joined(self.table(chunk, k, include_history) for chunk in chunks)

    def recommend_users(
        self, users: Any = None, k: int = 10, *, include_history: bool = False
    ) -> pd.DataFrame:
        """Return the table for users of the dataset.

        Args:
            users: raw ids, such as `["u1", "u2"]` or `[196, 22]`, in any container
                (`data.asked.ids_of`); all users if None; unknown users are skipped with a warning.
            k: items per user, at least 1; limited to the size of the catalogue.
            include_history: also recommend items of the history.

        Raises:
            UserError: invalid ids, or none of them is known.
        """
        chunks = self.user_chunks(users)
        return self._joined(self.table(chunk, k, include_history) for chunk in chunks)

    @torch.no_grad()
    def similar_items(self, items: Any, k: int = 10) -> pd.DataFrame:
        """Return the items whose vectors have the largest cosine with those of some items.

        The vectors are those that the model scores items by: after propagation for models on
        graphs, the item table for others.

        Args:
            items: a raw id, such as `50`, or several in any container.
            k: similar items of each, at least 1; limited to the other items of the catalogue.

        Returns:
            One row per similar item: `query` (1, 2, … in the order of `items`), `rank`, `item_id`,
            `title` (if the dataset has titles), `cosine`.

        Raises:
            UserError: an unknown item, or a model without item vectors.
        """
        _check_count("k", k)
        is_one = isinstance(items, str) or not isinstance(items, Iterable)
        asked = [raw_id(i, "similar_items", "item") for i in ([items] if is_one else items)]
        numbers = torch.tensor([self._asked.item_number(item) for item in asked]).long()
        table, k = self._unit_vectors(), min(k, self.n_items - 2)
        best = [(torch.zeros(0, k), torch.zeros(0, k).long())]
        for part in numbers.to(table.device).split(self.batch_size) if k else ():
            itself = torch.arange(len(part), device=part.device), part
            scores, items = top_k(table[part] @ table.T, k, excluded=itself)
            best.append((scores.cpu(), items.cpu()))
        cosine, similar = (torch.cat(parts) for parts in zip(*best, strict=True))
        row, column = (cosine > float("-inf")).nonzero(as_tuple=True)
        columns = {
            "query": 1 + row.numpy(),
            "rank": 1 + column.numpy(),
            "item_id": self.item_ids[similar[row, column]],
            "title": None if self.titles is None else self.titles[similar[row, column]],
            "cosine": cosine[row, column].numpy(),
        }
        return pd.DataFrame({k: v for k, v in columns.items() if v is not None})

    def explain(self, histories: Any, n_items: int = 3) -> list[dict[str, Any]]:
        """Return the intents behind the recommendations for each history; see `explanations`."""
        chunks = self.chunks(histories)
        return [line for chunk in chunks for line in self.explanations(chunk, n_items)]

    def explain_users(self, users: Any = None, n_items: int = 3) -> list[dict[str, Any]]:
        """Return the intents behind the recommendations for each user; see `explanations`."""
        chunks = self.user_chunks(users)
        return [line for chunk in chunks for line in self.explanations(chunk, n_items)]

    def use_index(self, exact_up_to: int = EXACT_UP_TO) -> None:
        """Use an approximate index instead of scoring all items.

        Its recall against the exact lists, on a sample of the first histories, is logged.

        Raises:
            UserError: faiss is missing, or the scores are not inner products with item vectors.
        """
        # A model that scores in another way overrides `full_sort_predict`.
        scores_by_vector = (
            isinstance(self.model, NextItemMixin)
            and type(self.model).full_sort_predict is NextItemMixin.full_sort_predict
        )
        if not scores_by_vector:
            raise UserError(
                f"--index=faiss: {self.config['model']} does not score by inner products of user "
                "and item vectors, as SASRec, GRU4Rec and IGRSR on fast_sequences do; leave it out"
            )
        self.index = ItemIndex(self.model.item_table(), exact_up_to)
        self._is_compared = False

    # --- pieces of bounded size ---------------------------------------------------------------

    def chunks(self, histories: Any) -> Iterator[Chunk]:
        """Yield new histories (`data.asked.histories_of`) in chunks; see `AskedHistories.new`.

        Raises:
            UserError: no histories, or a model that only recommends to users of the dataset.
        """
        if not self.is_sequential:
            raise UserError(
                f"{self.config['model']} scores users, not histories; use --users=FILE or "
                "--users=all, or train a sequential model"
            )
        asked = histories_of(histories, self.columns)
        return self._asked.new(asked, self.model.ITEM_SEQ)

    def user_chunks(self, users: Any = None) -> Iterator[Chunk]:
        """Yield users of the dataset (`data.asked.ids_of`; all if None) in chunks."""
        if self._known is None:
            self._known = KnownHistories.of(self.config, self._data, self._history)
        asked = None if users is None else ids_of(users, self.columns)
        return self._asked.users(asked, self._known)

    @torch.no_grad()
    def table(self, chunk: Chunk, k: int = 10, include_history: bool = False) -> pd.DataFrame:
        """Return the recommendations for a chunk; see the class for the columns.

        Raises:
            UserError: `k` below 1, `include_history` is not a bool, or the model needs data that
                new histories lack.
        """
        _check_count("k", k)
        if not isinstance(include_history, bool | np.bool):
            raise UserError(f"include_history: {include_history!r} is neither True nor False")
        k, n_rows = min(k, self.n_items - 1), len(chunk.rows)
        if self.index is not None and not self._is_compared:
            self._compare(self.index, chunk, k, include_history)
        scores = torch.full((n_rows, k), float("-inf"), dtype=torch.float32)
        items = torch.zeros(n_rows, k, dtype=torch.long)
        has_model = self._has_model(chunk)
        for part in self._batches(chunk):
            scores[part], items[part] = self._found(chunk, part, k, include_history)
        if not has_model.all():
            scores[~has_model], items[~has_model] = self._popular(k)
        return self._frame(chunk.names, chunk.first, scores, items, has_model)

    @torch.no_grad()
    def explanations(self, chunk: Chunk, n_items: int = 3) -> list[dict[str, Any]]:
        """Return the intents of each history: weight, text, and nearest items of the history.

        Returns:
            C dicts `{"history": 1, "user_id": …, "intents": [{"weight": 0.6, "text": …, "items":
            [{"item_id": …, "title": …, "cosine": 0.4}, …]}, …]}`; no intents if the popular items
            are recommended.

        Raises:
            UserError: the model, or its configuration, has no intents.
        """
        self.check_explains()
        _check_count("n_items", n_items)
        by_row: list[list] = [[] for _ in chunk.names]
        for part in self._batches(chunk):
            interaction = self._interaction(chunk, part).to(self.trainer.device)
            for row, intents in zip(
                part.tolist(), self.model.explain(interaction, n_items), strict=True
            ):
                by_row[row] = intents
        return [
            {
                "history": chunk.first + row + 1,
                "user_id": name,
                "intents": [self._plain(intent) for intent in intents],
            }
            for row, (name, intents) in enumerate(zip(chunk.names, by_row, strict=True))
        ]

    @torch.no_grad()
    def intent_space(self, chunk: Chunk) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
        """Return what `evaluation.intent_space` draws of a chunk's first history.

        Returns:
            Keys (C, d) and names of the intents, the history's query (d,), probabilities (C,).

        Raises:
            UserError: the model has no such space, or does not know the history.
        """
        model, first = self.model, torch.tensor([0])
        if not isinstance(model, HasIntentSpace):
            raise UserError(f"--picture: {self.config['model']} has no space of intents to draw")
        if not self._has_model(chunk)[0]:
            raise UserError("--picture: the first history has no known item; put another first")
        interaction = self._interaction(chunk, first).to(self.trainer.device)
        fields = self.model.ITEM_SEQ, self.model.ITEM_SEQ_LEN
        space = model.intent_space(*(interaction[field] for field in fields))
        keys, queries, probability = (part.float().cpu().numpy() for part in space)
        return keys, model.intents, queries[0], probability[0]

    def _unit_vectors(self) -> Tensor:
        """Return the items' vectors (V, d), each of length 1, or 0 if it has none."""
        if self._vectors is None:
            model = self.model
            table = getattr(getattr(model, "item_embedding", None), "weight", None)
            if isinstance(model, NextItemMixin):
                table = model.item_table()
            elif hasattr(model, "restore_item_e"):  # RecBole's models on graphs
                user = Interaction({self.config["USER_ID_FIELD"]: torch.tensor([1])})
                model.full_sort_predict(user.to(self.trainer.device))
                table = model.restore_item_e
            if table is None or len(table) != self.n_items:
                raise UserError(f"{self.config['model']} has no item vectors to compare")
            self._vectors = torch.nn.functional.normalize(table.float(), dim=-1)
        return self._vectors

    def check_explains(self) -> None:
        """Raise UserError if the model cannot explain its recommendations."""
        if not isinstance(self.model, ExplainsIntents):
            raise UserError(f"--explain: {self.config['model']} has no intents")

    # --- scoring ------------------------------------------------------------------------------

    def _has_model(self, chunk: Chunk) -> Tensor:
        """Return (C,) whether the model can score a history; a general model knows every user."""
        return chunk.length > 0 if self.is_sequential else torch.ones(len(chunk.rows)).bool()

    def _batches(self, chunk: Chunk) -> Iterator[Tensor]:
        """Yield positions of histories that the model scores, grouped by similar length."""
        order = chunk.length.argsort(stable=True)
        order = order[self._has_model(chunk)[order]]
        return iter(order.split(self.batch_size)) if len(order) else iter(())

    def _interaction(self, chunk: Chunk, part: Tensor) -> Interaction:
        """Return the model's input for these histories: their users and last items."""
        columns, rows = {}, chunk.rows[part]
        if chunk.users is not None:
            columns[self.config["USER_ID_FIELD"]] = chunk.users[part]
        sequences = chunk.known.sequences
        if sequences is not None:
            n, end = self.config["MAX_ITEM_LIST_LENGTH"], chunk.known.end[rows]
            length = (end - chunk.known.start[rows]).clamp_max(n)
            trim = self.config.spec.trim and self.config["fast_sequences"]
            width = int(length.max()) if trim else n
            columns[self.config["ITEM_LIST_LENGTH_FIELD"]] = length
            columns.update(sequences.gather(end - length, length, width))
        return self.dataset.join(Interaction(columns))

    def _excluded(
        self, chunk: Chunk, part: Tensor, include_history: bool
    ) -> tuple[Tensor, Tensor] | None:
        if include_history:
            return None
        pairs = chunk.known.of_rows(chunk.rows[part])
        return pairs[0].to(self.trainer.device), pairs[1].to(self.trainer.device)

    def _best(
        self, chunk: Chunk, part: Tensor, k: int, include_history: bool
    ) -> tuple[Tensor, Tensor]:
        """Return exact scores (B, k) and items (B, k) for some histories of a chunk."""
        excluded = self._excluded(chunk, part, include_history)
        try:
            scores = self.trainer.scores(self._interaction(chunk, part), self.n_items, excluded, k)
        except KeyError as error:
            name = error.args[0]
            if chunk.users is not None or name not in self.dataset.field2type:
                raise
            raise UserError(
                f"{self.config['model']} reads {name!r}, which a new history does not have; "
                "use --users=FILE or --users=all"
            ) from error
        scores, items = top_k(scores, k, excluded=excluded)
        return scores.cpu(), items.cpu()

    def _found(
        self, chunk: Chunk, part: Tensor, k: int, include_history: bool
    ) -> tuple[Tensor, Tensor]:
        """As `_best`, by the index; exact without one, or if it finds too few."""
        if self.index is None:
            return self._best(chunk, part, k, include_history)
        interaction = self._interaction(chunk, part).to(self.trainer.device)
        with self.trainer.autocast():
            vectors = self.model.user_vectors(interaction)
        excluded = self._excluded(chunk, part, include_history)
        scores, items = self.index.search(vectors.float(), k, excluded)
        few = scores[:, -1].isinf()
        if few.any():
            scores[few], items[few] = self._best(chunk, part[few], k, include_history)
        return scores, items

    def _compare(self, index: ItemIndex, chunk: Chunk, k: int, include_history: bool) -> None:
        """Log the recall of the index against the exact lists, once."""
        self._is_compared = True
        places = torch.cat(list(self._batches(chunk)) or [torch.arange(0)])
        sample = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))]
        hits, listed = 0, 0
        for part in sample[:_SAMPLE].split(self.batch_size):
            ours, exact = (
                search(chunk, part, k, include_history) for search in (self._found, self._best)
            )
            is_listed = exact[0] > float("-inf")
            is_found = (exact[1].unsqueeze(2) == ours[1].unsqueeze(1)).any(dim=2)
            hits, listed = hits + int((is_found & is_listed).sum()), listed + int(is_listed.sum())
        if listed:
            kind = "exact" if index.is_exact else "approximate"
            _LOGGER.info(
                "index=faiss (%s): recall@%d %.4f against the exact lists of %d histories",
                kind,
                k,
                hits / listed,
                len(sample[:_SAMPLE]),
            )

    def _popular(self, k: int) -> tuple[Tensor, Tensor]:
        """Return scores (k,) and items (k,) with the most training interactions."""
        count = self._data.train_dataset.inter_matrix(form="csr").sum(axis=0)  # (1, V)
        scores, items = top_k(torch.from_numpy(np.asarray(count)).reshape(1, -1).float(), k)
        return scores[0], items[0]

    # --- to tables ----------------------------------------------------------------------------

    def _frame(
        self,
        names: Sequence[str | None],
        first: int,
        scores: Tensor,
        items: Tensor,
        has_model: Tensor,
    ) -> pd.DataFrame:
        row, column = (scores > float("-inf")).nonzero(as_tuple=True)
        numbers = items[row, column].numpy()
        users = pd.array(names, dtype="str")
        columns = {
            "history": first + 1 + row.numpy(),
            "user_id": users[row.numpy()],
            "rank": column.numpy() + 1,
            "item_id": self.item_ids[numbers],
            "title": None if self.titles is None else self.titles[numbers],
            "score": scores[row, column].numpy(),
            "source": np.where(has_model[row].numpy(), "model", "popular"),
        }
        return pd.DataFrame({k: v for k, v in columns.items() if v is not None})

    def _joined(self, tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
        frames = list(tables) or [self._no_rows()]
        return pd.concat(frames, ignore_index=True)

    def _no_rows(self) -> pd.DataFrame:
        none = torch.zeros(0, 1)
        return self._frame([], 0, none, none.long(), none[:, 0].bool())

    def _plain(self, intent: Intent) -> dict[str, Any]:
        items = []
        for number, cosine in intent.items:
            title = {} if self.titles is None else {"title": self.titles[number]}
            items.append({"item_id": self.item_ids[number], **title, "cosine": round(cosine, 6)})
        text = {} if intent.text is None else {"text": intent.text}
        return {"weight": round(intent.weight, 6), **text, "items": items}


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise UserError(f"{name}: {value!r} is not a whole number")
    if value < 1:
        raise UserError(f"{name}: {value} must be at least 1")
