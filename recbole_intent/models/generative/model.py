"""T5 models that write the next item, with whole words by place or from a graph."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_intent.modeling.candidates import ScoresCandidates
from recbole_intent.modeling.searches import SearchesItems
from recbole_intent.models.generative.direct_batches import CANDIDATES
from recbole_intent.models.generative.graph_edges import graph_edges
from recbole_intent.models.generative.interests import ExplicitInterest
from recbole_intent.models.generative.prompt_reader import PromptReader, Reading, Style
from recbole_intent.models.generative.tasks import DIRECT, NO_EDGES, SEQUENTIAL, TARGETS
from recbole_intent.models.generative.trie import Trie
from recbole_intent.models.generative.trie_search import (
    beam_search,
    dense_scores,
    score_all,
    score_candidates,
)

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration


class WritesItems(ScoresCandidates, SearchesItems, SequentialRecommender):
    """A T5 that reads a prompt of users and items, and writes an item.

    Two tasks share it: *sequential*, history -> next item; *direct*, candidates -> the user's item.
    A batch with a column `candidates` is direct. The loss of each is the cross-entropy of the
    item's tokens.

    An item's score is T5's log-probability of its id: `full_sort_predict` scores all items from
    the history, `score_candidates` scores some from a prompt that names them. If ids have several
    tokens, `decode: beam` gives -inf to items that no beam reached; `search` spends no beams on
    items that a ranking or a list excludes.

    Args:
        config: configuration of the run.
        dataset: the training split.
        ids: (V,) ids of items, "" for padding.
        style: of the prompts.

    Raises:
        UserError: a property outside its range, or T5 or libraries are missing.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any, ids: Sequence[str], style: Style) -> None:
        super().__init__(config, dataset)
        self.config = config
        self.tasks = tuple(config["tasks"])
        self.n_users = dataset.num(self.USER_ID)
        self.reader = PromptReader(config, self.n_users, ids, style)
        writer, self.trie = self.reader.writer, None
        if not writer.one_token:
            self.trie = Trie(writer.targets, writer.pad, writer.eos)
        self.loss_names: tuple[str, ...] = self.tasks

    @property
    def t5(self) -> "T5ForConditionalGeneration":
        """The `T5ForConditionalGeneration`."""
        return self.reader.t5

    @property
    def targets(self) -> Tensor:
        """(V, T): the output tokens of each item."""
        return self.reader.writer.targets

    def interests(self) -> Tensor | None:
        """E (U + V, d), whose rows are the whole words; None: they are numbered by place."""
        return None

    def _read_history(self, interaction: Any, E: Tensor | None = None) -> Reading:
        """As `PromptReader.read`; computes E if it is needed and not given."""
        if E is None and not self.reader.by_place:
            E = self.interests()
        known = self.USER_ID in interaction.interaction  # new histories have no user
        user = interaction[self.USER_ID] if known else None
        return self.reader.read(SEQUENTIAL, user, interaction[self.ITEM_SEQ], E)

    # --- training --------------------------------------------------------------------------------

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The terms listed in `loss_names`; those of the other task are zero."""
        task = DIRECT if CANDIDATES in interaction.interaction else SEQUENTIAL
        return self._terms({task: self._text_loss(*self._asked(task, interaction))}, interaction)

    def _asked(
        self, task: str, interaction: Any, E: Tensor | None = None
    ) -> tuple[Reading, Tensor]:
        """What T5 read of a batch's prompts, and the items (B,) to write."""
        target = interaction[self.POS_ITEM_ID]
        if task == SEQUENTIAL:
            return self._read_history(interaction, E), target
        user, candidates = interaction[self.USER_ID], interaction[CANDIDATES]
        return self.reader.read(DIRECT, user, candidates, E), target

    def _terms(self, losses: dict[str, Tensor], interaction: Any) -> tuple[Tensor, ...]:
        zero = interaction[self.POS_ITEM_ID].new_zeros((), dtype=torch.float32)
        return tuple(losses.get(name, zero) for name in self.loss_names)

    def _text_loss(self, read: Reading, item: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens of items (B,), padding excluded."""
        labels = self.targets[item]
        if self.trie is None:
            return F.cross_entropy(self.reader.first_logits(read), labels[:, 0])
        labels = labels.masked_fill(labels == self.reader.writer.pad, -100)
        hidden, mask = read.encoded
        return self.t5(encoder_outputs=(hidden,), attention_mask=mask, labels=labels).loss

    # --- scoring ---------------------------------------------------------------------------------

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Log-probabilities (B, V) of all items after each history; -inf if no beam reached it."""
        return self.search(interaction, None, 0)

    @torch.no_grad()
    def search(self, interaction: Any, excluded: tuple[Tensor, Tensor] | None, k: int) -> Tensor:
        """As `full_sort_predict`, for at least k items other than those `excluded`."""
        read = self._read_history(interaction)
        if self.trie is None:
            return self._first_tokens(read)
        if self.config["decode"] == "exact":
            return score_all(self.t5, *read.encoded, self.trie)
        banned = None
        if excluded is not None:
            banned = read.mask.new_zeros(len(read.mask), self.n_items)
            banned[excluded] = True
        beams = min(max(self.config["num_beams"], k), self.n_items - 1)
        items, log_probs = beam_search(self.t5, *read.encoded, self.trie, beams, banned)
        return dense_scores(items, log_probs, self.n_items)

    def predict(self, interaction: Any) -> Tensor:
        """Log-probabilities (B,) of each row's item."""
        item = interaction[self.ITEM_ID][:, None]
        return self.full_sort_predict(interaction).gather(1, item).squeeze(1)

    @torch.no_grad()
    def score_candidates(self, interaction: Any, candidates: Tensor) -> Tensor:
        """Exact log-probabilities (B, C) of candidates, regardless of their order.

        The prompt names them; if the direct task is not learned, it is the history.
        """
        if DIRECT in self.tasks:
            items = candidates.sort(dim=1).values
            read = self.reader.read(DIRECT, interaction[self.USER_ID], items, self.interests())
        else:
            read = self._read_history(interaction)
        if self.trie is None:
            return self._first_tokens(read).gather(1, candidates)
        return score_candidates(self.t5, *read.encoded, self.trie, candidates)

    def _first_tokens(self, read: Reading) -> Tensor:
        """Log-probabilities (B, V) if each item is one token: one decoder step."""
        return self.reader.first_logits(read).float().log_softmax(dim=1)[:, self.targets[:, 0]]


class WritesFromGraph(WritesItems):
    """Whole words are rows of E (U + V, d): a graph's convolution of vectors of users and items.

    Args:
        config: also `gcn_layers`, `sigma` and `graph_edges`.
        dataset, ids, style: as in `WritesItems`.
        item_part: makes the module of items' vectors, for a width d.
        hides: edges that are removed from the graph for a training step. `targets`: those between
            the users and targets of its batch, or E would hold the answer, as it never does in a
            test; `unseen`: in the sequential task also the users' other edges to items that their
            prompts do not show, because in a test no interactions follow the history.
        learn_users: as in `ExplicitInterest`.
    """

    def __init__(
        self,
        config: Any,
        dataset: Any,
        ids: Sequence[str],
        style: Style,
        item_part: Callable[[int], nn.Module],
        hides: str,
        learn_users: bool = True,
    ) -> None:
        super().__init__(config, dataset, ids, style)
        d = self.t5.config.d_model
        self.explicit = ExplicitInterest(
            *graph_edges(config, dataset),
            self.n_users,
            item_part(d),
            self.n_items,
            d,
            config["gcn_layers"],
            config["sigma"],
            learn_users,
        )
        self.hides = hides
        self._settled: Tensor | None = None  # E while the weights do not change
        self.register_load_state_dict_post_hook(lambda model, _: model._forget())

    def train(self, mode: bool = True) -> "WritesFromGraph":
        """Switch between training and evaluation; either way E is computed again."""
        self._forget()
        return super().train(mode)

    def _forget(self) -> None:
        self._settled = None

    def interests(self, hidden: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """E (U + V, d); without gradients it is computed once until `train` or `eval` is called."""
        if hidden is not None or torch.is_grad_enabled():
            return self.explicit(hidden)
        if self._settled is None:
            self._settled = self._controlled(self.explicit())
        return self._settled

    def _controlled(self, E: Tensor) -> Tensor:
        """E as rankings read it."""
        return E

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """As `WritesItems.calculate_loss`, from the step's graph."""
        task = DIRECT if CANDIDATES in interaction.interaction else SEQUENTIAL
        read = self._asked(task, interaction, self._of_step(task, interaction))
        return self._terms({task: self._text_loss(*read)}, interaction)

    def _of_step(self, task: str, interaction: Any) -> Tensor | None:
        """E without the edges that a training step hides; None if no prompt reads it."""
        if task == SEQUENTIAL and self.reader.by_place:
            return None
        return self.interests(self._hidden(task, interaction) if self.training else None)

    def _hidden(self, task: str, interaction: Any) -> tuple[Tensor, Tensor] | None:
        """Users (P,) and items (P,) of the edges to remove for a training step."""
        if self.hides == NO_EDGES:
            return None
        user, target = interaction[self.USER_ID], interaction[self.POS_ITEM_ID]
        if task == DIRECT or self.hides == TARGETS:
            return user, target
        row, item = self.explicit.items_of(user)
        shown = interaction[self.ITEM_SEQ]  # (B, n)
        is_shown = torch.isin(
            row * self.n_items + item,
            torch.arange(len(shown), device=shown.device)[:, None] * self.n_items + shown,
        )
        row, item = row[~is_shown], item[~is_shown]
        return torch.cat([user, user[row]]), torch.cat([target, item])
