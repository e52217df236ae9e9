"""ISRF: T5 generates the next item from prompts with whole-word vectors from a graph."""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor

from recbole_intent.modeling.candidates import ScoresCandidates
from recbole_intent.modeling.explain import ExplainsIntents, Intent
from recbole_intent.modeling.intent_control import OWN, ControlsIntents
from recbole_intent.modeling.searches import SearchesItems
from recbole_intent.models.isrf.direct_batches import CANDIDATES
from recbole_intent.models.isrf.graph_edges import graph_edges
from recbole_intent.models.isrf.interests import ExplicitInterest, GroupInterest
from recbole_intent.models.isrf.item_ids import item_ids
from recbole_intent.models.isrf.options import (
    DIRECT,
    NO_EDGES,
    SEQUENTIAL,
    TARGETS,
    aligned_tasks,
    chooses_among_candidates,
    hidden_edges,
    learns_users,
)
from recbole_intent.models.isrf.prompt_reader import PromptReader, Reading
from recbole_intent.models.isrf.reasons import Reasons
from recbole_intent.models.isrf.semantics import item_part, item_vectors, users_alike
from recbole_intent.models.isrf.trie import Trie
from recbole_intent.models.isrf.trie_search import (
    beam_search,
    dense_scores,
    score_all,
    score_candidates,
)
from recbole_intent.nn.losses import info_nce, soft_target_alignment
from recbole_intent.utils.errors import UserError

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration


class ISRF(
    ScoresCandidates, SearchesItems, ExplainsIntents, ControlsIntents, SequentialRecommender
):
    """Iterative Semantic Reasoning from Individual to Group Interests for Recommendation.

    | symbol | shape | meaning | source |
    |---|---|---|---|
    | B, S, d, U, V | | prompts of a batch, tokens of a prompt, T5's width, users, items | |
    | X | (B, S, d) | t_j + α w(j): a token's vector and its whole word's | (1) |
    | E | (U + V, d) | explicit interests, mean of layers over [users; e_v] (`explicit`) | (2)-(4) |
    | w | (1 + U + V, d) | whole words: w_0 for words that are not ids, rows of E | (5) |
    | G | (U, d) | group interests: like E, between similar users (`group`) | (6), (7) |
    | p_u | (B, d) | mean of the whole words of the history's items | |

    Two tasks share one T5: *sequential*, history -> next item; *direct*, candidates -> the user's
    item. A batch with a column `candidates` is direct. Loss: cross-entropy of the tokens of the
    item (11) + `align_weight` * alignment (10): of G with the user's E, which is detached, in the
    direct task (8), of G with p_u in the sequential one (9). `direct_loss: candidates` (ours): the
    direct task's cross-entropy covers only the prompt's candidates. `learn_users: False` (ours):
    users' own vectors stay at their initial values. `sequential_user: False` (ours): sequential
    prompts do not name the user, whose row of E lacks interactions after training.

    An item's score is T5's log-probability of its id: `full_sort_predict` scores all items from
    the history, `score_candidates` scores some from a prompt that names them. If ids have several
    tokens, `decode: beam` gives -inf to items that no beam reached; `search` spends no beams on
    items that a ranking or a list excludes.

    `decoder_whole_words` (ours): if each item is one token and whole words are rows of E, the
    decoder uses them too. It starts with the user's (w_0 if the prompt names no user), and an
    item's logit is h · (t_v + α w(v)), with its vector as in (1): from the first step, T5 gets
    from the graph and the texts what it would otherwise have to learn to copy.

    `hide_edges`: with `targets`, the edges between users and targets of a training batch are
    removed from the graph for that step; otherwise E leaks the answer in training, but never in a
    test. With `unseen`, the sequential task also removes the users' edges to items that their
    prompts do not show, because in a test no interactions follow the history.

    Raises:
        UserError: a property outside its range, or missing texts, T5 or libraries.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.tasks = tuple(config["tasks"])
        self.n_users = dataset.num(self.USER_ID)
        self.config, self._dataset = config, dataset
        self._reasons: Reasons | None = None
        z = item_vectors(config, dataset)
        ids = item_ids(config, dataset, z)
        self.reader = PromptReader(config, self.n_users, ids)
        writer, self.trie = self.reader.writer, None
        if not writer.one_token:
            self.trie = Trie(writer.targets, writer.pad, writer.eos)
        d, layers, sigma = self.t5.config.d_model, config["gcn_layers"], config["sigma"]
        self.explicit = ExplicitInterest(
            *graph_edges(config, dataset),
            self.n_users,
            item_part(config, z, self.n_items, d),
            self.n_items,
            d,
            layers,
            sigma,
            learns_users(config),
        )
        self.aligned = aligned_tasks(config)
        self.group = None
        if self.aligned:
            self.group = GroupInterest(
                self.n_users,
                d,
                layers,
                sigma,
                lambda: users_alike(config, dataset),
                symmetric=config["user_graph"] == "symmetric",
            )
        self.loss_names = (*self.tasks, *(f"align_{task}" for task in self.aligned))
        self.among_candidates = chooses_among_candidates(config, writer.one_token)
        self.hides = hidden_edges(config)
        self._settled: Tensor | None = None  # E while the weights do not change
        self.register_load_state_dict_post_hook(lambda model, _: model._forget())

    @property
    def t5(self) -> "T5ForConditionalGeneration":
        """The `T5ForConditionalGeneration`."""
        return self.reader.t5

    @property
    def targets(self) -> Tensor:
        """(V, T): the output tokens of each item."""
        return self.reader.writer.targets

    def train(self, mode: bool = True) -> "ISRF":
        """Switch between training and evaluation; either way E is computed again."""
        self._forget()
        return super().train(mode)

    def _forget(self) -> None:
        self._settled = None

    # --- encoding --------------------------------------------------------------------------------

    def interests(self, hidden: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """E (U + V, d); without gradients it is computed once until `train` or `eval` is called."""
        if hidden is not None or torch.is_grad_enabled():
            return self.explicit(hidden)
        if self._settled is None:
            self._settled = self._with_control(self.explicit())
        return self._settled

    def _with_control(self, E: Tensor) -> Tensor:
        """E with the users' rows as `intent_control` has it; padding and items stay."""
        if self.intent_control == OWN:
            return E
        users = self.exchanged(E[1 : self.n_users])
        return torch.cat([E[:1], users, E[self.n_users :]])

    def controls(self, config: Any) -> bool:
        """As `ControlsIntents`; the interests of users are read where prompts name them.

        Group interests shape them in training, and are not read otherwise.
        """
        asks_direct = config["task"] == DIRECT and DIRECT in self.tasks
        return asks_direct or (self.reader.names_users and not self.reader.by_place)

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
        user, target = interaction[self.USER_ID], interaction[self.POS_ITEM_ID]
        E = None
        if task == DIRECT or not self.reader.by_place:
            E = self.interests(self._hidden(task, interaction) if self.training else None)
        if task == DIRECT:
            candidates = interaction[CANDIDATES]
            read = self.reader.read(DIRECT, user, candidates, E)
            text = self._choice_loss(read, candidates, target)
        else:
            read = self._read_history(interaction, E)
            text = self._text_loss(read, target)
        losses = {task: text}
        if task in self.aligned and self._aligns_now():
            known = (
                E[user].detach()
                if E is not None and task == DIRECT
                else self.reader.mean_word(interaction[self.ITEM_SEQ], E)
            )
            losses[f"align_{task}"] = self._weight() * self._alignment(user, known)
        zero = target.new_zeros((), dtype=torch.float32)
        return tuple(losses.get(name, zero) for name in self.loss_names)

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

    def _text_loss(self, read: Reading, item: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens of items (B,), padding excluded (11)."""
        labels = self.targets[item]
        if self.trie is None:
            return F.cross_entropy(self.reader.first_logits(read), labels[:, 0])
        labels = labels.masked_fill(labels == self.reader.writer.pad, -100)
        hidden, mask = read.encoded
        return self.t5(encoder_outputs=(hidden,), attention_mask=mask, labels=labels).loss

    def _choice_loss(self, read: Reading, candidates: Tensor, item: Tensor) -> Tensor:
        """As `_text_loss`; with `direct_loss: candidates` the softmax covers only candidates."""
        if not self.among_candidates:
            return self._text_loss(read, item)
        logits = self.reader.first_logits(read).gather(1, self.targets[candidates, 0])
        return F.cross_entropy(logits, (candidates == item[:, None]).int().argmax(dim=1))

    def _aligns_now(self) -> bool:
        # One batch in `align_every`, with `align_every` times the weight: the same on average.
        every = self.config["align_every"]
        return self.training and (every == 1 or bool(torch.rand(()) < 1 / every))

    def _weight(self) -> float:
        return self.config["align_weight"] * self.config["align_every"]

    def _alignment(self, user: Tensor, known: Tensor) -> Tensor:
        """Alignment of G with the `known` vectors (B, d) of users (B,): (8), (9)."""
        assert self.group is not None  # some task is aligned
        group = self.group()[user]
        if self.config["alignment"] == "soft_target":
            return soft_target_alignment(group, known)
        return info_nce(group, known, self.config["align_temperature"], group=user)

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

    @torch.no_grad()
    def explain(self, interaction: Any, n_items: int) -> list[list[Intent]]:
        """Each user's interests, and the most similar users with the categories that they share.

        The first intent has weight 1, the user's interests in words if `enrich` wrote a profile,
        and the items of the history nearest to the user in E. The weight of a similar user is the
        cosine of the texts.

        Raises:
            UserError: new histories, which have no user; or missing user texts.
        """
        if self.USER_ID not in interaction.interaction:
            raise UserError("--explain: ISRF tells of users of the dataset: --users=FILE or all")
        if self._reasons is None:
            self._reasons = Reasons(self.config, self._dataset)
        E = self.interests()
        user, items = interaction[self.USER_ID], interaction[self.ITEM_SEQ]
        cosine = F.cosine_similarity(E[user][:, None], E[items + self.n_users], dim=2)
        rows = zip(user.tolist(), cosine.cpu(), items.cpu(), strict=True)
        return [self._reasons.of(u, c, i, n_items) for u, c, i in rows]

    def _first_tokens(self, read: Reading) -> Tensor:
        """Log-probabilities (B, V) if each item is one token: one decoder step."""
        return self.reader.first_logits(read).float().log_softmax(dim=1)[:, self.targets[:, 0]]
