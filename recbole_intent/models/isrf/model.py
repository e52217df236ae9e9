"""ISRF: T5 generates the next item from prompts with whole-word vectors from a graph."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_intent.modeling.explain import ExplainsIntents, Intent
from recbole_intent.modeling.intent_control import OWN, ControlsIntents
from recbole_intent.models.generative.direct_batches import CANDIDATES
from recbole_intent.models.generative.item_ids import item_ids
from recbole_intent.models.generative.model import WritesFromGraph
from recbole_intent.models.generative.prompt_reader import Reading
from recbole_intent.models.generative.tasks import DIRECT, SEQUENTIAL
from recbole_intent.models.isrf.interests import GroupInterest
from recbole_intent.models.isrf.options import (
    aligned_tasks,
    chooses_among_candidates,
    hidden_edges,
    learns_users,
    prompt_style,
)
from recbole_intent.models.isrf.reasons import Reasons
from recbole_intent.models.isrf.semantics import item_part, item_vectors, users_alike
from recbole_intent.nn.losses import info_nce, soft_target_alignment
from recbole_intent.utils.errors import UserError


class ISRF(ExplainsIntents, ControlsIntents, WritesFromGraph):
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

    def __init__(self, config: Any, dataset: Any) -> None:
        z = item_vectors(config, dataset)
        super().__init__(
            config,
            dataset,
            item_ids(config, dataset, z),
            prompt_style(config),
            lambda d: item_part(config, z, dataset.item_num, d),
            hidden_edges(config),
            learns_users(config),
        )
        self._dataset = dataset
        self._reasons: Reasons | None = None
        self.aligned = aligned_tasks(config)
        self.group = None
        if self.aligned:
            self.group = GroupInterest(
                self.n_users,
                self.t5.config.d_model,
                config["gcn_layers"],
                config["sigma"],
                lambda: users_alike(config, dataset),
                symmetric=config["user_graph"] == "symmetric",
            )
        self.loss_names = (*self.tasks, *(f"align_{task}" for task in self.aligned))
        self.among_candidates = chooses_among_candidates(config, self.reader.writer.one_token)

    def _controlled(self, E: Tensor) -> Tensor:
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

    # --- training --------------------------------------------------------------------------------

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The terms listed in `loss_names`; those of the other task are zero."""
        task = DIRECT if CANDIDATES in interaction.interaction else SEQUENTIAL
        user, E = interaction[self.USER_ID], self._of_step(task, interaction)
        read, target = self._asked(task, interaction, E)
        if task == DIRECT:
            text = self._choice_loss(read, interaction[CANDIDATES], target)
        else:
            text = self._text_loss(read, target)
        losses = {task: text}
        if task in self.aligned and self._aligns_now():
            known = (
                E[user].detach()
                if E is not None and task == DIRECT
                else self.reader.mean_word(interaction[self.ITEM_SEQ], E)
            )
            losses[f"align_{task}"] = self._weight() * self._alignment(user, known)
        return self._terms(losses, interaction)

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

    # --- explanations ----------------------------------------------------------------------------

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
